package transport

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// packets is a PacketListener under test, over the system calls for many
// datagrams or over those for one.
func packets(t testing.TB, url string, cfg ListenConfig, single bool) *packetListener {
	t.Helper()
	cfg.Schemes = MQTTSNSchemes()
	l, ok := server(t, url, cfg).(*packetListener)
	if !ok {
		t.Fatalf("%s is no PacketListener", url)
	}
	if single {
		l.sock = &singlePackets{udp: l.udp}
	}
	return l
}

// bothWays runs a test over either kind of system call.
func bothWays(t *testing.T, run func(t *testing.T, single bool)) {
	for name, single := range map[string]bool{"many": false, "one": true} {
		t.Run(name, func(t *testing.T) { run(t, single) })
	}
}

// readAll reads n datagrams, as sender and text.
func readAll(t testing.TB, l PacketListener, ds []Datagram, n int) []string {
	t.Helper()
	late := time.AfterFunc(limit, func() { _ = l.Close() })
	defer late.Stop()
	var got []string
	for len(got) < n {
		k, err := l.ReadBatch(ds)
		if err != nil || k == 0 {
			t.Fatalf("%d datagrams, %v, after %q", k, err, got)
		}
		for _, d := range ds[:k] {
			got = append(got, d.Addr.String()+" "+string(d.Data))
		}
	}
	return got
}

// to dials l's socket at host without any of the transport's code.
func to(t testing.TB, l Listener, host string) *net.UDPConn {
	t.Helper()
	a := netip.AddrPortFrom(netip.MustParseAddr(host), l.Addr().(*net.UDPAddr).AddrPort().Port())
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(a))
	if err != nil {
		t.Skipf("%s: %v", host, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(deadline())
	return c
}

func local(c *net.UDPConn) netip.AddrPort { return unmapped(c.LocalAddr().(*net.UDPAddr).AddrPort()) }

func TestPacketsOfEveryFamily(t *testing.T) {
	for _, tc := range []struct{ url, host string }{
		{"mqttsn://127.0.0.1:0", "127.0.0.1"},
		{"mqttsn://0.0.0.0:0", "127.0.0.1"},
		{"mqttsn://[::1]:0", "::1"},
		{"mqttsn://:0", "127.0.0.1"},
		{"mqttsn://:0", "::1"},
		{"mqttsn://[::]:0", "127.0.0.1"},
	} {
		bothWays(t, func(t *testing.T, single bool) {
			l := packets(t, tc.url, ListenConfig{}, single)
			c := to(t, l, tc.host)
			send(t, c, "hello")
			ds := NewDatagrams(4, 100)
			if d := cmp.Diff([]string{local(c).String() + " hello"}, readAll(t, l, ds, 1)); d != "" {
				t.Errorf("%s: %s", tc.url, d)
			}
			if a := ds[0].Addr.Addr(); a != netip.MustParseAddr(tc.host) {
				t.Errorf("%s: from %s", tc.url, a)
			}
			if err := l.WriteBatch([]Datagram{{ds[0].Addr, []byte("one")}, {ds[0].Addr, []byte("two")}}); err != nil {
				t.Errorf("%s: %v", tc.url, err)
			}
			if a, b := receive(t, c), receive(t, c); a != "one" || b != "two" {
				t.Errorf("%s: %q, %q", tc.url, a, b)
			}
			want := ListenerCounters{Received: 1, ReceivedBytes: 5, Sent: 2, SentBytes: 6}
			if d := cmp.Diff(want, l.Counters()); d != "" {
				t.Errorf("%s: %s", tc.url, d)
			}
		})
	}
}

func TestPacketsOfTheLocalLinkHaveAZone(t *testing.T) {
	var from netip.Addr
	ifaces, _ := net.Interfaces()
	for _, i := range ifaces {
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
				from = p.Addr().WithZone(i.Name)
			}
		}
	}
	if !from.IsValid() {
		t.Skip("no interface has an address of the local link")
	}
	bothWays(t, func(t *testing.T, single bool) {
		l := packets(t, "mqttsn://:0", ListenConfig{}, single)
		c := to(t, l, from.String())
		send(t, c, "hello")
		ds := NewDatagrams(1, 100)
		if got := readAll(t, l, ds, 1)[0]; got != local(c).String()+" hello" || ds[0].Addr.Addr() != from {
			t.Errorf("%q, want it from %s", got, from)
		}
		if err := l.WriteBatch(ds); err != nil || receive(t, c) != "hello" {
			t.Error(err)
		}
	})
}

func TestPacketsInBatches(t *testing.T) {
	l := packets(t, "mqttsn://127.0.0.1:0", ListenConfig{}, false)
	var clients []*net.UDPConn
	var want []string
	for range 3 {
		clients = append(clients, to(t, l, "127.0.0.1"))
	}
	for i := range 150 { // more than one system call takes
		c := clients[i%3]
		send(t, c, fmt.Sprint(i))
		want = append(want, fmt.Sprint(local(c), " ", i))
	}
	ds := NewDatagrams(200, 10)
	if d := cmp.Diff(want, readAll(t, l, ds, 150)); d != "" {
		t.Error(d)
	}
	var out []Datagram
	for i := range 150 {
		out = append(out, Datagram{local(clients[i%3]), fmt.Append(nil, "to ", i)})
	}
	if err := l.WriteBatch(out); err != nil {
		t.Fatal(err)
	}
	for i := range 150 {
		if got := receive(t, clients[i%3]); got != fmt.Sprint("to ", i) {
			t.Fatalf("%d: %q", i, got)
		}
	}
	want2 := ListenerCounters{Received: 150, ReceivedBytes: 10 + 2*90 + 3*50, Sent: 150, SentBytes: 150*3 + 10 + 2*90 + 3*50}
	if d := cmp.Diff(want2, l.Counters()); d != "" {
		t.Error(d)
	}
}

func TestPacketsThatDoNotPass(t *testing.T) {
	bothWays(t, func(t *testing.T, single bool) {
		l := packets(t, "mqttsn://:0", ListenConfig{Access: []string{"deny ::1"}}, single)
		good, bad := to(t, l, "127.0.0.1"), to(t, l, "::1")
		for _, s := range []string{"first", "", strings.Repeat("x", 11), "0123456789", ""} {
			send(t, good, s)
			send(t, bad, s)
		}
		send(t, good, "last")
		ds, from := NewDatagrams(20, 10), local(good).String()
		if d := cmp.Diff([]string{from + " first", from + " 0123456789", from + " last"}, readAll(t, l, ds, 3)); d != "" {
			t.Error(d)
		}
		want := ListenerCounters{
			Received: 3, ReceivedBytes: 19,
			Refused: map[string]uint64{RefusedRule: 5}, Dropped: map[string]uint64{DroppedEmpty: 2, DroppedLong: 1},
		}
		if d := cmp.Diff(want, l.Counters()); d != "" {
			t.Error(d)
		}
		if err := l.Apply(ListenConfig{Schemes: MQTTSNSchemes(), Access: []string{"deny 127.0.0.0/8"}}); err != nil {
			t.Fatal(err)
		}
		send(t, good, "shut out")
		send(t, bad, "let in")
		if d := cmp.Diff([]string{local(bad).String() + " let in"}, readAll(t, l, ds, 1)); d != "" {
			t.Error(d)
		}
		seen := map[*byte]bool{} // what was dropped has not lost its buffer
		for _, d := range ds {
			seen[&d.Data[:1][0]] = cap(d.Data) == 10
		}
		if len(seen) != len(ds) {
			t.Errorf("%d buffers of %d", len(seen), len(ds))
		}
	})
}

func TestPacketsOfAnySize(t *testing.T) {
	bothWays(t, func(t *testing.T, single bool) {
		l := packets(t, "mqttsn://127.0.0.1:0", ListenConfig{}, single)
		c := to(t, l, "127.0.0.1")
		long := bytes.Repeat([]byte("0123456789"), 6551)[:65_507]
		send(t, c, string(long))
		ds := NewDatagrams(2, 1<<16)
		readAll(t, l, ds, 1)
		if !bytes.Equal(ds[0].Data, long) {
			t.Errorf("%d bytes arrived", len(ds[0].Data))
		}
		a := ds[0].Addr
		err := l.WriteBatch([]Datagram{{a, long}, {a, append(long, 'x')}, {a, []byte("after")}})
		if !errors.Is(err, ErrTooLong) {
			t.Error(err)
		}
		if got := receive(t, c); got != string(long) {
			t.Errorf("%d bytes came back", len(got))
		}
		if got := receive(t, c); got != "after" {
			t.Errorf("%q", got)
		}
		if c := l.Counters(); c.Dropped[DroppedSize] != 1 || c.Sent != 2 || c.SentBytes != 65_512 {
			t.Errorf("%+v", c)
		}
	})
}

func TestPacketsThatCannotBeSent(t *testing.T) {
	bothWays(t, func(t *testing.T, single bool) {
		l := packets(t, "mqttsn://127.0.0.1:0", ListenConfig{}, single)
		c := to(t, l, "127.0.0.1")
		good, b := local(c), []byte("sent")
		none := func(s string) Datagram { return Datagram{netip.MustParseAddrPort(s), b} }
		err := l.WriteBatch([]Datagram{
			{good, b},
			none("127.0.0.1:0"),
			{netip.AddrPort{}, b},
			{good, b},
			none("[::1]:1884"), none("[fe80::1%none]:9"),
			{netip.AddrPortFrom(netip.AddrFrom16(good.Addr().As16()), good.Port()), b},
		})
		oe := (*net.OpError)(nil)
		if !errors.As(err, &oe) || oe.Addr.String() != "127.0.0.1:0" || !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%v", err)
		}
		for range 3 {
			if got := receive(t, c); got != "sent" {
				t.Errorf("%q", got)
			}
		}
		want := ListenerCounters{Sent: 3, SentBytes: 12, Dropped: map[string]uint64{DroppedUnsent: 4}}
		if d := cmp.Diff(want, l.Counters()); d != "" {
			t.Error(d)
		}
		if err := l.WriteBatch(nil); err != nil {
			t.Error(err)
		}
	})
}

// A client that has gone makes its host answer by ICMP.
func TestPacketsToAClosedPortEndNothing(t *testing.T) {
	bothWays(t, func(t *testing.T, single bool) {
		l := packets(t, "mqttsn://127.0.0.1:0", ListenConfig{}, single)
		gone, c := to(t, l, "127.0.0.1"), to(t, l, "127.0.0.1")
		a := local(gone)
		_ = gone.Close()
		for i := range 20 {
			if err := l.WriteBatch([]Datagram{{a, []byte("lost")}, {local(c), []byte("found")}}); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, c); got != "found" {
				t.Fatalf("%q", got)
			}
			send(t, c, fmt.Sprint(i))
			readAll(t, l, NewDatagrams(2, 100), 1)
		}
	})
}

func TestClosingEndsReadingAndLeavesTimeForLastWords(t *testing.T) {
	bothWays(t, func(t *testing.T, single bool) {
		l := packets(t, "mqttsn://127.0.0.1:0", ListenConfig{}, single)
		c := to(t, l, "127.0.0.1")
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if n, err := l.ReadBatch(NewDatagrams(2, 100)); n != 0 || err != net.ErrClosed { //nolint:errorlint // it is this one
					t.Errorf("%d, %v", n, err)
				}
			})
		}
		wg.Go(func() {
			if c, err := l.Accept(); c != nil || err != net.ErrClosed { //nolint:errorlint // it is this one
				t.Errorf("%v, %v", c, err)
			}
		})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if err := l.Close(); err != nil {
			t.Errorf("again: %v", err)
		}
		send(t, c, "too late")
		if n, err := l.ReadBatch(NewDatagrams(2, 100)); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%d, %v", n, err)
		}
		last := []Datagram{{local(c), []byte("farewell")}}
		if err := l.WriteBatch(last); err != nil || receive(t, c) != "farewell" {
			t.Error(err)
		}
		eventually(t, "the socket is closed", func() bool { return errors.Is(l.WriteBatch(last), net.ErrClosed) })
		eventually(t, "the port is free", func() bool { // a little after the end of writing
			c, err := net.ListenPacket("udp", l.Addr().String())
			if err == nil {
				_ = c.Close()
			}
			return err == nil
		})
		again := packets(t, l.URL(), ListenConfig{}, single)
		send(t, to(t, again, "127.0.0.1"), "next")
		readAll(t, again, NewDatagrams(1, 100), 1)
	})
}

func TestPacketListenerOptions(t *testing.T) {
	l := packets(t, "mqttsn://127.0.0.1:0", ListenConfig{Acceptors: 9}, false)
	if c := l.Config(); c.Acceptors != 1 || c.ReadBufferBytes != DefaultPacketBuffer || c.Name != "" {
		t.Errorf("%+v", c)
	}
	if s := l.Scheme(); !s.Packets || s.Protocol != "mqttsn" || !strings.HasPrefix(l.URL(), "mqttsn://127.0.0.1:") || strings.HasSuffix(l.URL(), ":0") {
		t.Errorf("%+v, %s", s, l.URL())
	}
	if err := l.Reload(); err != nil {
		t.Error(err)
	}
	if n, err := l.ReadBatch(nil); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if c := packets(t, "mqttsn://127.0.0.1:0", ListenConfig{ReadBufferBytes: 5000}, false).Config(); c.ReadBufferBytes != 5000 {
		t.Errorf("%+v", c)
	}
	for _, s := range []Scheme{
		{Name: "x", Network: "tcp", Packets: true},
		{Name: "x", Network: "udp", TLS: true, Packets: true},
	} {
		if _, err := Listen(t.Context(), "x://127.0.0.1:0", ListenConfig{Schemes: []Scheme{s}}); err == nil || !strings.Contains(err.Error(), "plain UDP") {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if _, err := Listen(t.Context(), "mqttsn://127.0.0.1:0", ListenConfig{Schemes: MQTTSNSchemes(), Proxies: []string{"all"}}); err == nil {
		t.Error("proxies are accepted")
	}
	for name, cfg := range map[string]ListenConfig{
		"max_conn_rate": {MaxConnRate: 1}, "max_per_source": {MaxPerSource: 1},
		"rate_limit.messages": {MessageRate: Rate{1, time.Second}}, "rate_limit.bytes": {ByteRate: Rate{1, time.Second}},
		"queue.datagrams": {QueueDatagrams: 1}, "queue.bytes": {QueueBytes: 1}, "queue.all_bytes": {AllQueuesBytes: 1},
	} {
		cfg.Schemes = MQTTSNSchemes()
		_, err := Listen(t.Context(), "mqttsn://127.0.0.1:0", cfg)
		if want := name + ": mqttsn:// has no connections"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	packets(t, "mqttsn://127.0.0.1:0", ListenConfig{MaxConnRate: -1, MaxConnections: 1}, false)
	if _, err := Listen(t.Context(), l.URL(), ListenConfig{Schemes: MQTTSNSchemes()}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second listener: %v", err)
	}
}

func TestPacketsThatNobodyReadsAreCounted(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	l := packets(t, "mqttsn://127.0.0.1:0", ListenConfig{ReadBufferBytes: 5000}, false)
	c := to(t, l, "127.0.0.1")
	for range 100 {
		send(t, c, "hello")
	}
	lost := l.Counters().Dropped[DroppedBuffer]
	if lost == 0 || lost == 100 {
		t.Fatalf("%d of 100 are lost", lost)
	}
	readAll(t, l, NewDatagrams(100, 10), 100-int(lost))
	want := ListenerCounters{Received: 100 - lost, ReceivedBytes: 5 * (100 - lost), Dropped: map[string]uint64{DroppedBuffer: lost}}
	if d := cmp.Diff(want, l.Counters()); d != "" {
		t.Error(d)
	}
	_ = l.Close()
	eventually(t, "the socket is closed", func() bool { return errors.Is(l.WriteBatch([]Datagram{{Addr: local(c)}}), net.ErrClosed) })
	if got := l.Counters().Dropped[DroppedBuffer]; got != lost {
		t.Errorf("%d lost after the end, want %d", got, lost)
	}
}

func TestDialAPacketListener(t *testing.T) {
	l := packets(t, "mqttsn://127.0.0.1:0", ListenConfig{}, false)
	c, err := Dial(t.Context(), l.URL(), DialConfig{Schemes: MQTTSNSchemes()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(deadline())
	if i := c.Info(); i.Protocol != "mqttsn" || !i.Datagrams || i.TLS != nil {
		t.Errorf("%+v", i)
	}
	send(t, c, "hello")
	ds := NewDatagrams(1, 100)
	readAll(t, l, ds, 1)
	if err := l.WriteBatch(ds); err != nil || receive(t, c) != "hello" {
		t.Error(err)
	}
}

func TestDialMQTTSNOverDTLS(t *testing.T) {
	ca := newTestCA(t)
	l := server(t, "mqttsns://127.0.0.1:0", ListenConfig{Schemes: MQTTSNSchemes(), TLS: ca.server})
	if _, ok := l.(PacketListener); ok {
		t.Error("a listener for DTLS has no packets without connections")
	}
	conns, dialed := accepting(t, l), make(chan error, 1)
	var c Conn
	go func() {
		var err error
		c, err = Dial(t.Context(), l.URL(), DialConfig{Schemes: MQTTSNSchemes(), TLS: &ClientTLS{RootCAs: ca.Pool()}})
		dialed <- err
	}()
	srv := next(t, conns)
	if err := errors.Join(srv.Handshake(t.Context()), <-dialed); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(deadline())
	send(t, c, "hello")
	if got := receive(t, srv); got != "hello" {
		t.Errorf("%q", got)
	}
	send(t, srv, "answer")
	if got := receive(t, c); got != "answer" {
		t.Errorf("%q", got)
	}
	if i := srv.Info(); i.Protocol != "mqttsn" || i.Scheme != "mqttsns" || i.TLS == nil {
		t.Errorf("%+v", i)
	}
}
