package mqttsn

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAuth(t *testing.T) {
	plain := func(data string) Auth { return Auth{Method: AuthPlain, Data: []byte(data)} }
	for _, c := range []struct {
		hex            string
		want           Auth
		user, password string
		ok             bool
	}{
		{"0e030005504c41494e0061006263", plain("\x00a\x00bc"), "a", "bc", true},
		{"0f030005504c41494e610061006263", plain("a\x00a\x00bc"), "a", "bc", true}, // for itself
		{"0f030005504c41494e620061006263", plain("b\x00a\x00bc"), "", "", false},   // for another
		{"0c030005504c41494e006100", plain("\x00a\x00"), "a", "", true},            // an empty password
		{"0d030005504c41494e00610000", plain("\x00a\x00\x00"), "a", "\x00", true},  // passwords may hold anything
		{"0c030005504c41494e000062", plain("\x00\x00b"), "", "", false},            // nobody
		{"0b030005504c41494e0061", plain("\x00a"), "", "", false},                  // no password
		{"09030005504c41494e", plain(""), "", "", false},                           //
		{"08030004584f4155", Auth{Method: "XOAU"}, "", "", false},
	} {
		b := unhex(t, c.hex)
		m, n, err := Parse(b, Options{AuthExtension: true})
		if err != nil || n != len(b) {
			t.Errorf("%s: %v, %d bytes", c.hex, err, n)
			continue
		}
		got := m.(Auth)
		if len(got.Data) == 0 {
			got.Data = c.want.Data
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.hex, diff)
		}
		if user, password, ok := got.Plain(); user != c.user || string(password) != c.password || ok != c.ok {
			t.Errorf("%s: %q, %q, %v", c.hex, user, password, ok)
		}
		back, err := c.want.Append(nil)
		if err != nil || string(back) != string(b) || c.want.Size() != len(b) {
			t.Errorf("%s: back to %x, %v", c.hex, back, err)
		}
	}
	for _, bad := range []string{"0203", "030300", "04030005", "09030006504c41494e", "060300020041"} {
		if m, _, err := Parse(unhex(t, bad), Options{AuthExtension: true}); err == nil {
			t.Errorf("%s: %+v", bad, m)
		}
	}
	if _, err := (Auth{Method: strings.Repeat("x", 256)}).Append(nil); err == nil {
		t.Error("a method of 256 bytes")
	}
}

func TestAuthIsReserved(t *testing.T) {
	_, _, err := Parse(unhex(t, "0e030005504c41494e0061006263"), Options{})
	m := (*Malformed)(nil)
	if !errors.As(err, &m) || m.Class != UnknownType {
		t.Errorf("%v", err)
	}
	if TypeAuth.Known() {
		t.Error("it is known")
	}
}

func TestAuthKeepsItsSecret(t *testing.T) {
	m := Auth{Method: AuthPlain, Data: []byte("\x00user\x00secret")}
	for _, s := range []string{fmt.Sprint(m), fmt.Sprintf("%+v %s", m, m)} {
		if strings.Contains(s, "secret") {
			t.Error(s)
		}
	}
}
