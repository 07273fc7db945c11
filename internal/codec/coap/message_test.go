package coap

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// samples are datagrams that strict mode accepts. The first are of RFC 7252,
// appendix A, the others of LwM2M servers and clients.
var samples = []struct{ name, hex string }{
	{"GET", "40017d34 bb74656d7065726174757265"},
	{"2.05 in an acknowledgement", "60457d34 ff 32322e332043"},
	{"GET with a token", "41017d35 20 bb74656d7065726174757265"},
	{"discovery", "4001d9e1 bb2e77656c6c2d6b6e6f776e 04636f7265"},
	{"ping", "40001234"},
	{"RST", "70001234"},
	{"empty ACK", "60001234"},
	{"location", "64418ba3 a38b48a8 827264 03616263"},
	{"GET with Accept", "42011003 1003 b133 0130 622d16"},
	{"PUT with queries", "4203100a 100a b133 0130 0139 46706d696e3d31 06706d61783d33"},
	{"notification", "52458ba5 0102 6102 60 ff 33"},
	{"TLV", "4203100f 100f b133 0130 023134 122d16 ff c60e2b30323a3030"},
	{"Block1", "4203101b 101b b135 0130 0130 112a d1020a ff 00010203"},
	{"2.31", "625f101b 101b d10e0a"},
	{"Block2", "6245101d 101d c22d16 b108 ffc500416e6a6179c8010b64656d6f2d63"},
	{"FETCH", "42051007 1007 c170 5170 ff 82a100662f332f302f30a100662f332f302f39"},
	{"Request-Tag", "4503105d 0500000003 bc 6578616d706c655f64617461 10 d1021b d0fc ff 61"},
	{"Echo", "44840001 01020304 d8ef 0102030405060708"},
	{"option with two more bytes", "40010001 e1fef207"},
}

func TestParseAppend(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			b := unhex(t, s.hex)
			m, err := Parse(b, &Mode{})
			if err != nil {
				t.Fatal(err)
			}
			again, err := m.Append(nil)
			if err != nil || !bytes.Equal(again, b) || len(b) != m.Size() {
				t.Errorf("% x, want % x (%d): %v", again, b, m.Size(), err)
			}
			for i := range b {
				if _, err := Parse(b[:i], &Mode{}); err != nil && !errors.As(err, new(*Malformed)) {
					t.Errorf("%d bytes: %v", i, err)
				}
			}
			over, err := m.AppendTCP(nil)
			if err != nil || len(over) != m.SizeTCP() {
				t.Fatalf("% x (%d): %v", over, m.SizeTCP(), err)
			}
			for i := range over {
				if _, n, err := ParseTCP(over[:i], &Mode{}); n != 0 || !errors.Is(err, ErrShort) {
					t.Errorf("%d of %d bytes: %d, %v", i, len(over), n, err)
				}
			}
			m.Type, m.MessageID = 0, 0
			got, n, err := ParseTCP(append(over, 1, 2, 3), &Mode{})
			if diff := cmp.Diff(m, got, cmpopts.EquateEmpty()); diff != "" || n != len(over) || err != nil {
				t.Errorf("%d of %d bytes, %v\n%s", n, len(over), err, diff)
			}
			over, err = m.AppendWebSocket(nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err = ParseWebSocket(over, &Mode{}); err != nil || cmp.Diff(m, got, cmpopts.EquateEmpty()) != "" {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestFields(t *testing.T) {
	m, err := Parse(unhex(t, "4203100a 100a b133 0130 0139 46706d696e3d31 06706d61783d33"), &Mode{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Type != Confirmable || m.Code != PUT || m.MessageID != 0x100a || !bytes.Equal(m.Token, []byte{0x10, 0x0a}) {
		t.Errorf("%+v", m)
	}
	if path := m.Options.AppendPath(nil, URIPath); string(path) != "/3/0/9" {
		t.Errorf("path %s", path)
	}
	if v, ok := m.Options.Get(URIQuery); string(v) != "pmin=1" || !ok {
		t.Errorf("query %q", v)
	}
	if _, ok := m.Options.Get(Observe); ok {
		t.Error("there is an Observe")
	}
	if _, ok := m.Options.Uint(Block1); ok {
		t.Error("there is a Block1")
	}
}

// Options may be added in any order.
func TestAddOptions(t *testing.T) {
	var o Options
	o = o.AddString(URIPath, "3").AddUint(RequestTag, 7).AddString(URIPath, "0/%\x00").AddUint(Observe, 0).AddUint(Size1, 300).Add(IfNoneMatch, nil)
	o = o.AddUint(60000, 1).AddUint(ContentFormat, 11542)
	m := Message{Code: GET, Options: o, Payload: []byte("x")}
	b, err := m.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(b, &Mode{})
	if err != nil || !bytes.Equal(got.Options, o) {
		t.Fatalf("% x: %v", b, err)
	}
	var numbers []Number
	for n := range got.Options.All() {
		numbers = append(numbers, n)
	}
	if diff := cmp.Diff([]Number{5, 6, 11, 11, 12, 60, 292, 60000}, numbers); diff != "" {
		t.Error(diff)
	}
	if path := got.Options.AppendPath(nil, URIPath); string(path) != "/3/0%2F%25%00" {
		t.Errorf("path %s", path)
	}
	if v, ok := got.Options.Uint(ContentFormat); v != 11542 || !ok || MediaType(v).String() != "application/vnd.oma.lwm2m+tlv" {
		t.Error(v, ok)
	}
	before := bytes.Clone(b)
	_ = got.Options.Add(IfMatch, []byte("etag"))
	if !bytes.Equal(b, before) {
		t.Error("what was parsed has changed")
	}
}

func TestBlocks(t *testing.T) {
	for _, b := range []Block{{0, false, 0}, {1, true, 2}, {1<<20 - 1, true, 6}, {15, false, 0}} {
		got, ok := ParseBlock(AppendUint(nil, b.Uint()))
		if !ok || got != b {
			t.Errorf("%+v: %+v", b, got)
		}
	}
	if b := (Block{Exponent: 2}); b.Size() != 64 {
		t.Error(b.Size())
	}
	if b := (Block{Exponent: BERT}); b.Size() != 1024 {
		t.Error(b.Size())
	}
	if _, ok := ParseBlock([]byte{1, 2, 3, 4}); ok {
		t.Error("4 bytes are a block")
	}
}

func TestNotEncodable(t *testing.T) {
	for _, m := range []Message{
		{Token: make([]byte, MaxExtendedToken+1), Code: GET},
		{Type: 4, Code: GET},
		{Token: []byte{1}},
		{Payload: []byte{1}},
		{Code: GET, Options: Options{0xb4, 't'}},
		{Code: GET, Options: Options{0xff}},
	} {
		dst := []byte("before")
		got, err := m.Append(dst)
		if !errors.Is(err, ErrUnencodable) || string(got) != "before" {
			t.Errorf("%+v: % x, %v", m.Code, got, err)
		}
	}
}

func TestCodes(t *testing.T) {
	for c, want := range map[Code]string{GET: "0.01 GET", Content: "2.05 Content", HopLimitReached: "5.08 Hop Limit Reached", CSM: "7.01 CSM", 0x20: "1.00 "} {
		if got := c.String() + " " + c.Name(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if !GET.Request() || Empty.Request() || !Content.Response() || !CSM.Signal() || CSM.Response() {
		t.Error("classes")
	}
	if s := MediaType(40000).String(); s != "40000" || MediaType(40000).Known() {
		t.Error(s)
	}
}

// Which options are critical, unsafe and no cache key: RFC 7252 §5.10, table 4.
func TestOptionNumbers(t *testing.T) {
	for n, want := range map[Number]string{
		IfMatch: "C--", URIHost: "CU-", ETag: "---", IfNoneMatch: "C--", URIPort: "CU-", LocationPath: "---", URIPath: "CU-",
		ContentFormat: "---", MaxAge: "-U-", URIQuery: "CU-", Accept: "C--", LocationQuery: "---", ProxyURI: "CU-", ProxyScheme: "CU-",
		Size1: "--N", Size2: "--N", RequestTag: "---", Echo: "--N", Observe: "-U-", Block1: "CU-", Block2: "CU-",
	} {
		got := []byte("---")
		if n.Critical() {
			got[0] = 'C'
		}
		if n.Unsafe() {
			got[1] = 'U'
		}
		if n.NoCacheKey() {
			got[2] = 'N'
		}
		if string(got) != want {
			t.Errorf("%v: %s, want %s", n, got, want)
		}
	}
	if s := Number(65000).String(); s != "option 65000" {
		t.Error(s)
	}
}
