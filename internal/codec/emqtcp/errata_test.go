package emqtcp

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The published editions of the specification have misprints. Each is here with
// what we do instead, so that nobody puts it back by reading them.
func TestErrata(t *testing.T) {
	t.Run("the example of abcd ends in 63", func(t *testing.T) {
		b, _ := Datatrans{[]byte("abcd")}.Append(nil)
		if !bytes.Equal(b, unhex(t, "30 0004 61626364")) {
			t.Errorf("%x", b)
		}
		p, _, err := Parse(unhex(t, "30 0004 61626363"), Options{})
		if err != nil || cmp.Diff(p, Packet(Datatrans{[]byte("abcc")})) != "" {
			t.Errorf("the printed bytes are %v, %v", p, err)
		}
	})
	t.Run("the text calls DISCONNECT type 7", func(t *testing.T) {
		if b, _ := (Disconnect{}).Append(nil); !bytes.Equal(b, []byte{0x60}) {
			t.Errorf("%x", b)
		}
		if _, _, err := Parse([]byte{0x70}, Options{}); err == nil {
			t.Error("type 7 is accepted")
		}
	})
	t.Run("the success text is printed with one c", func(t *testing.T) {
		b, _ := Connack{Message: MessageSuccessful}.Append(nil)
		if len(b) != 3+0x14 || string(b[3:]) != "Connect Successfully" {
			t.Errorf("%q", b)
		}
	})
	t.Run("an older edition begins CONNECT with 10", func(t *testing.T) {
		raw := unhex(t, "10 0007 3c 0004 61626364")
		if _, _, err := Parse(raw, Options{}); err == nil {
			t.Error("accepted without the switch")
		}
		if _, _, err := Parse(raw, Options{AcceptVersion0: true}); err != nil {
			t.Error(err)
		}
		if b, _ := (Connect{Version: Version, KeepAlive: 60, ClientID: "abcd"}).Append(nil); b[0] != 0x11 {
			t.Errorf("%x", b)
		}
	})
	t.Run("a caption gives success the code 1", func(t *testing.T) {
		p, _, err := Parse(unhex(t, "20 0000"), Options{FromServer: true})
		if c, ok := p.(Connack); err != nil || !ok || c.Code != Successful {
			t.Errorf("%v, %v", p, err)
		}
	})
}
