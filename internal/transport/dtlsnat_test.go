package transport

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// nat stands between one client and a listener, and gives the client another
// source port whenever it is told to.
type nat struct {
	t     *testing.T
	to    string // the listener
	url   string // for the client
	front *net.UDPConn
	wg    sync.WaitGroup

	mu      sync.Mutex
	restive bool // each datagram of the client has a port of its own
	times   int  // that each datagram passes in addition
	alter   func(b []byte)
	pass    func(b []byte) bool
	client  *net.UDPAddr
	out     *net.UDPConn // nil: a new one for the next datagram
	all     []*net.UDPConn
	sent    [][]byte // by the client
	at      []string // the port of each answer
}

func newNAT(t *testing.T, l Listener) *nat {
	t.Helper()
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	n := &nat{t: t, to: l.Addr().String(), front: front, url: strings.Replace(l.URL(), l.Addr().String(), front.LocalAddr().String(), 1)}
	n.wg.Add(1)
	go n.outward()
	t.Cleanup(func() {
		_ = front.Close()
		n.mu.Lock()
		for _, c := range n.all {
			_ = c.Close()
		}
		n.mu.Unlock()
		n.wg.Wait()
	})
	return n
}

// rebind gives the client a new port for what it sends next; with always set,
// one for each datagram.
func (n *nat) rebind(always bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.out, n.restive = nil, always
}

// filter is asked about each datagram to the client.
func (n *nat) filter(pass func(b []byte) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pass = pass
}

// repeat makes of each datagram some more.
func (n *nat) repeat(times int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.times = times
}

// rewrite changes each datagram of the client.
func (n *nat) rewrite(alter func(b []byte)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.alter = alter
}

// history is what the client has sent.
func (n *nat) history() [][]byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.sent)
}

// resend sends in the client's name.
func (n *nat) resend(b []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, _ = n.out.Write(b)
}

// last is the newest datagram of the client, and the port that it came from.
func (n *nat) last() (b []byte, from string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sent[len(n.sent)-1], n.all[len(n.all)-1].LocalAddr().String()
}

// answered is the port at which the newest answer has arrived.
func (n *nat) answered() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.at) == 0 {
		return ""
	}
	return n.at[len(n.at)-1]
}

func (n *nat) outward() {
	defer n.wg.Done()
	b := make([]byte, 1<<16)
	for {
		size, from, err := n.front.ReadFromUDP(b)
		if err != nil {
			return
		}
		n.mu.Lock()
		n.client = from
		if n.alter != nil {
			n.alter(b[:size])
		}
		n.sent = append(n.sent, append([]byte(nil), b[:size]...))
		if n.out == nil || n.restive {
			c, err := net.Dial("udp", n.to)
			if err != nil {
				n.t.Error(err)
				n.mu.Unlock()
				return
			}
			n.out = c.(*net.UDPConn)
			n.all = append(n.all, n.out)
			n.wg.Add(1)
			go n.inward(n.out)
		}
		for range 1 + n.times {
			_, _ = n.out.Write(b[:size])
		}
		n.mu.Unlock()
	}
}

func (n *nat) inward(c *net.UDPConn) {
	defer n.wg.Done()
	b := make([]byte, 1<<16)
	for {
		size, err := c.Read(b)
		if err != nil {
			return
		}
		n.mu.Lock()
		n.at = append(n.at, c.LocalAddr().String())
		if n.pass == nil || n.pass(b[:size]) {
			for range 1 + n.times {
				_, _ = n.front.WriteToUDP(b[:size], n.client)
			}
		}
		n.mu.Unlock()
	}
}
