package transport

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatCountsAsOneSource(t *testing.T) {
	for _, tc := range []struct{ a, b string }{
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff::2"},
		{"192.0.2.1", "192.0.2.1"},
	} {
		if sourceOf(netip.MustParseAddr(tc.a)) != sourceOf(netip.MustParseAddr(tc.b)) {
			t.Errorf("%s and %s are two sources", tc.a, tc.b)
		}
	}
	for _, tc := range []struct{ a, b string }{
		{"2001:db8:1:2::1", "2001:db8:1:3::1"},
		{"192.0.2.1", "192.0.2.2"},
		{"fe80::1%eth0", "fe80::2%eth0"},
		{"fe80::1%eth0", "fe80::1%eth1"},
	} {
		if sourceOf(netip.MustParseAddr(tc.a)) == sourceOf(netip.MustParseAddr(tc.b)) {
			t.Errorf("%s and %s are one source", tc.a, tc.b)
		}
	}
}

func TestShareOfHandshakes(t *testing.T) {
	for _, tc := range []struct {
		addr  string
		limit int
		want  int // of 200
	}{
		{"192.0.2.1", 100, 25},
		{"2001:db8::1", 100, 25},
		{"192.0.2.1", 40, 16},
		{"192.0.2.1", 10, 10}, // all there are
		{"192.0.2.1", -1, 200},
		{"127.0.0.1", 100, 100},
		{"::1", 100, 100},
	} {
		t.Run(fmt.Sprintf("%s of %d", tc.addr, tc.limit), func(t *testing.T) {
			var tl tally
			cfg, a := &ListenConfig{MaxHandshakes: tc.limit}, netip.MustParseAddr(tc.addr)
			arrive := func() *entry {
				e := &entry{}
				if tl.enter(e, cfg, true) != "" {
					return nil
				}
				if tl.addSource(e, a, cfg) != "" {
					tl.undo(e)
					return nil
				}
				return e
			}
			var in []*entry
			for range 200 {
				if e := arrive(); e != nil {
					in = append(in, e)
				}
			}
			if len(in) != tc.want {
				t.Fatalf("%d of 200 may shake hands, want %d", len(in), tc.want)
			}
			tl.shaken(in[0]) // one is through, one gives up
			tl.close(in[1], "gone")
			for range 2 {
				e := arrive()
				if e == nil {
					t.Fatal("the end of a handshake makes no room")
				}
				in = append(in, e)
			}
			if tc.want < 200 && arrive() != nil {
				t.Error("it makes too much room")
			}
			for i, e := range in {
				if i != 1 {
					tl.close(e, "gone")
				}
			}
			want := ListenerCounters{Closed: map[string]uint64{"gone": uint64(len(in))}}
			if d := cmp.Diff(want, tl.snapshot()); d != "" || len(tl.sources) > 0 {
				t.Errorf("%d sources left, counters %s", len(tl.sources), d)
			}
		})
	}
}

func TestOneHostCannotTakeAllHandshakes(t *testing.T) {
	ca := newTestCA(t)
	l := server(t, "mqtts://127.0.0.1:0", ListenConfig{TLS: ca.server, Proxies: []string{"127.0.0.1"}, MaxHandshakes: 20})
	arrive := func(from string) (client net.Conn, srv Conn) {
		c := rawDial(t, l)
		_, _ = io.WriteString(c, "PROXY TCP4 "+from+" 198.51.100.1 12345 8883\r\n")
		return c, accepted(t, l)
	}
	ended := make(chan error, 18)
	for range 18 {
		_, srv := arrive("192.0.2.7") // and then says nothing
		go func() { ended <- srv.Handshake(t.Context()) }()
	}
	for range 2 {
		if err := <-ended; asError(t, err).Op != "access" {
			t.Fatal(err)
		}
	}
	if c := l.Counters(); c.Refused[RefusedHandshakes] != 2 || c.Handshaking != 16 {
		t.Errorf("%+v", c)
	}
	c, srv := arrive("192.0.2.8")
	go func() { ended <- srv.Handshake(t.Context()) }()
	client := tls.Client(c, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"})
	if err := client.Handshake(); err != nil {
		t.Errorf("another host: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("another host: %v", err)
	}
}
