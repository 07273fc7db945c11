package mqtt_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
	"github.com/iotctl/iotctl/internal/session"
)

// soakSize is how long the soak takes and with how many clients: a taste of it
// ordinarily, 1,000 clients for the time in IOTCTL_SOAK.
func soakSize(t *testing.T) (clients int, d time.Duration) {
	t.Helper()
	s := os.Getenv("IOTCTL_SOAK")
	if s == "" {
		return 100, time.Second
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal("IOTCTL_SOAK:", err)
	}
	return 1000, d
}

// What the clients of the soak share.
const (
	soakTopics   = 200
	soakContests = 20 // identifiers that several clients fight for
	soakGroups   = 5
	soakQueue    = 64 << 10 // bytes that may wait for a session
	soakPending  = 32 << 10 // and for a connection
	soakPayload  = 16 << 10
)

// TestSoak lets clients of random behaviour do what they like: connect, abort,
// fight for identifiers, subscribe, publish, leave wills and retained messages
// behind, read slowly or not at all, send rubbish. A control client is served
// all the while, memory stays within its bound, and nothing of it is left at
// the end.
func TestSoak(t *testing.T) {
	clients, duration := soakSize(t)
	seed := rand.Uint64()
	if s := os.Getenv("IOTCTL_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("IOTCTL_SEED=%d, %d clients, %v", seed, clients, duration)
	a := arena{
		broker: broker.Config{Queue: session.Limits{MaxQueued: 100, MaxQueuedBytes: soakQueue}, SysInterval: 50 * time.Millisecond},
		gw:     gw.Config{PendingBytes: soakPending, SendTimeout: 2 * time.Second, MaxPacketBytes: 64 << 10},
	}
	hostile(t, a, func(h *hall) {
		// What so many goroutines, sockets and map entries leave with the runtime
		// is there after the first half, and does not grow in the second.
		peak := h.soak(clients, duration/2, seed)
		h.sweep(clients)
		h.deserted()
		h.before = h.steady()
		peak = max(peak, h.soak(clients, duration/2, seed+1))
		// Twice: garbage of the last collection. The clients are in it, too.
		if bound := uint64(2 * (clients + soakContests) * (soakQueue + 4*soakPending + 4*soakPayload)); peak > bound+64<<20 {
			t.Errorf("%d MB in use, want at most %d", peak>>20, bound>>20+64)
		}
		h.sweep(clients)
	})
}

// soak returns the most bytes of memory that were in use.
func (h *hall) soak(clients int, d time.Duration, seed uint64) (peak uint64) {
	h.t.Helper()
	var stop atomic.Bool
	var all sync.WaitGroup
	var lives, deaths atomic.Int64
	for i := range clients {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() {
			for !stop.Load() {
				w := &wanderer{t: h.t, r: r, name: i, stop: &stop}
				if w.live(h.addr) {
					deaths.Add(1)
				}
				lives.Add(1)
			}
		})
	}
	defer all.Wait()
	defer stop.Store(true) // also when the control client is not served
	rounds := h.rounds
	for end := time.Now().Add(d); time.Now().Before(end); {
		h.serves()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapInuse+m.StackInuse)
	}
	h.t.Logf("%d connections, %d of them ended by the broker; control clients served %d times; at most %d MB in use",
		lives.Load(), deaths.Load(), h.rounds-rounds, peak>>20)
	return peak
}

// sweep ends every session that the soak has left behind and removes what is
// retained.
func (h *hall) sweep(clients int) {
	h.t.Helper()
	h.hangUp()
	// A CONNECT that waits to be read begins a session behind the sweep: all that
	// came before this client has been accepted, and then no connection is left.
	h.serves()
	h.deserted()
	var ids []string
	for i := range clients {
		ids = append(ids, soakID(i))
	}
	for i := range soakContests {
		ids = append(ids, soakID(-i-1))
	}
	for _, id := range ids {
		r := h.online(mqtt.V5, id)
		r.send(mqtt.Disconnect{})
		r.closed()
	}
	p := h.online(mqtt.V5, "sweeper")
	for i := range soakTopics {
		m := pub(soakTopic(i), "", 1)
		m.Retain = true
		p.publish(m)
	}
	p.send(mqtt.Disconnect{})
	p.closed()
	h.eventually("no session is left", func() bool { return h.b.Sessions() == 0 })
	h.eventually("nothing but $SYS is retained", func() bool { return h.onlySys() })
}

// onlySys reports whether a subscription to everything brings nothing.
func (h *hall) onlySys() bool {
	h.t.Helper()
	r := h.online(mqtt.V5, "looker")
	r.sub("#", 0)
	r.send(mqtt.Pingreq{}, mqtt.Disconnect{})
	for _, p := range r.closed() {
		if p.Type() == mqtt.TypePublish {
			return false
		}
	}
	return len(r.held) == 0
}

func soakTopic(i int) string { return fmt.Sprintf("soak/%d/%d", i%10, i) }

func soakID(i int) string {
	if i < 0 {
		return fmt.Sprint("contest-", -i-1)
	}
	return fmt.Sprint("soak-", i)
}

// wanderer is one connection of the soak.
type wanderer struct {
	t       *testing.T
	r       *rand.Rand
	name    int
	stop    *atomic.Bool
	nc      net.Conn
	version mqtt.Version
	id      uint16
	buf     []byte
	sloppy  bool // acknowledges only some
	torn    bool // rubbish has been sent, or a part of a packet read: what comes is no use
}

// live goes through one connection and reports whether the broker has ended it.
func (w *wanderer) live(addr string) (killed bool) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return true
	}
	w.nc = nc
	defer func() { _ = nc.Close() }()
	w.version = []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5, mqtt.V5}[w.r.IntN(4)]
	w.sloppy = w.r.IntN(4) == 0
	if w.r.IntN(10) == 0 {
		_ = nc.(*net.TCPConn).SetReadBuffer(4 << 10)
	}
	if w.r.IntN(20) == 0 && !w.rubbish() || !w.send(w.hello()) || !w.attend(time.Second, 1) {
		return true
	}
	for range w.r.IntN(60) {
		if w.stop.Load() {
			break
		}
		if !w.act() {
			return true
		}
	}
	switch w.r.IntN(5) {
	case 0:
		_ = nc.(*net.TCPConn).SetLinger(0) // reset
	case 1: // closed without a word: the will
	case 2:
		w.send(mqtt.Disconnect{Code: mqtt.DisconnectWithWill})
	default:
		w.send(mqtt.Disconnect{})
	}
	return false
}

// hello is a CONNECT of any kind.
func (w *wanderer) hello() mqtt.Packet {
	c := mqtt.Connect{ClientID: soakID(w.name), Version: w.version, CleanStart: w.r.IntN(2) == 0, KeepAlive: uint16(w.r.IntN(3))}
	switch w.r.IntN(10) {
	case 0:
		c.ClientID = soakID(-1 - w.r.IntN(soakContests))
	case 1:
		if w.version != mqtt.V31 {
			c.ClientID, c.CleanStart = "", true
		}
	}
	if w.version == mqtt.V5 {
		if w.r.IntN(2) == 0 && c.ClientID != "" {
			c.Properties = c.Properties.AppendUint32(mqtt.PropSessionExpiryInterval, []uint32{1, 2, 3600, 0xFFFFFFFF}[w.r.IntN(4)])
		}
		if w.r.IntN(2) == 0 {
			c.Properties = c.Properties.AppendUint16(mqtt.PropReceiveMaximum, uint16(1+w.r.IntN(20)))
		}
		if w.r.IntN(4) == 0 {
			c.Properties = c.Properties.AppendUint32(mqtt.PropMaximumPacketSize, uint32(100+w.r.IntN(2000)))
		}
		c.Properties = c.Properties.AppendUint16(mqtt.PropTopicAliasMaximum, uint16(w.r.IntN(5)))
	}
	if w.r.IntN(3) == 0 {
		c.Will = &mqtt.Will{Topic: w.topic(), Payload: []byte("gone"), QoS: uint8(w.r.IntN(3)), Retain: w.r.IntN(2) == 0}
		if w.version == mqtt.V5 {
			c.Will.Properties = c.Will.Properties.AppendUint32(mqtt.PropWillDelayInterval, uint32(w.r.IntN(3)))
		}
	}
	return c
}

func (w *wanderer) topic() string { return soakTopic(w.r.IntN(soakTopics)) }

func (w *wanderer) filter() string {
	switch w.r.IntN(12) {
	case 0:
		return fmt.Sprintf("soak/%d/#", w.r.IntN(10))
	case 1:
		return fmt.Sprintf("soak/+/%d", w.r.IntN(soakTopics))
	case 2:
		return fmt.Sprintf("$share/g%d/soak/%d/#", w.r.IntN(soakGroups), w.r.IntN(10))
	case 3:
		if w.r.IntN(20) == 0 {
			return "#"
		}
	}
	return w.topic()
}

// act does one thing; false means that the connection is no more.
func (w *wanderer) act() bool {
	w.id++
	if w.id == 0 {
		w.id = 1
	}
	switch w.r.IntN(20) {
	case 0, 1:
		filters := make([]mqtt.Subscription, 1+w.r.IntN(3))
		for i := range filters {
			filters[i] = mqtt.Subscription{Filter: w.filter(), QoS: uint8(w.r.IntN(3))}
			if w.version == mqtt.V5 {
				filters[i].RetainHandling = uint8(w.r.IntN(3))
			}
		}
		return w.send(mqtt.Subscribe{PacketID: w.id, Filters: filters})
	case 2:
		return w.send(mqtt.Unsubscribe{PacketID: w.id, Filters: []string{w.filter(), w.topic()}})
	case 3:
		return w.send(mqtt.Pingreq{})
	case 4: // reads nothing for a while
		time.Sleep(time.Duration(w.r.IntN(100)) * time.Millisecond)
		return true
	case 5: // reads some bytes only, and acknowledges nothing more
		_ = w.nc.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		_, _ = w.nc.Read(make([]byte, 1+w.r.IntN(50)))
		w.torn = true
		return true
	case 6:
		return w.r.IntN(10) > 0 || w.rubbish()
	case 7, 8, 9, 10, 11, 12:
		return w.attend(time.Duration(w.r.IntN(50))*time.Millisecond, 1+w.r.IntN(20))
	}
	p := mqtt.Publish{
		Topic: []byte(w.topic()), QoS: uint8(w.r.IntN(3)), Retain: w.r.IntN(10) == 0, PacketID: w.id,
		Payload: make([]byte, w.r.IntN(200)), Dup: false,
	}
	if w.r.IntN(40) == 0 {
		p.Payload = make([]byte, soakPayload)
	}
	if p.QoS == 0 {
		p.PacketID = 0
	}
	if w.version == mqtt.V5 && w.r.IntN(4) == 0 {
		p.Properties = p.Properties.AppendUint32(mqtt.PropMessageExpiryInterval, uint32(w.r.IntN(3)))
	}
	return w.send(p)
}

// rubbish sends what no client should.
func (w *wanderer) rubbish() bool {
	w.torn = true
	b := make([]byte, 1+w.r.IntN(100))
	for i := range b {
		b[i] = byte(w.r.Uint32())
	}
	if w.r.IntN(2) == 0 {
		b, _ = mqtt.Publish{Topic: []byte(w.topic()), Payload: b, QoS: 1, PacketID: 1}.Append(nil, w.version)
		b[w.r.IntN(len(b))] ^= 1 << w.r.IntN(8)
		b = b[:1+w.r.IntN(len(b))]
	}
	return w.write(b)
}

func (w *wanderer) send(p mqtt.Packet) bool {
	b, err := p.Append(nil, w.version)
	return err == nil && w.write(b)
}

func (w *wanderer) write(b []byte) bool {
	_ = w.nc.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	_, err := w.nc.Write(b)
	return err == nil
}

// attend reads up to n packets and answers them; false means that the
// connection is no more.
func (w *wanderer) attend(wait time.Duration, n int) bool {
	_ = w.nc.SetReadDeadline(time.Now().Add(wait))
	for n > 0 {
		p, size, err := mqtt.Parse(w.buf, mqtt.Options{Version: w.version, FromServer: true})
		if err != nil && !errors.Is(err, mqtt.ErrShort) {
			if !w.torn {
				w.t.Errorf("the broker sent a packet that breaks a rule: %v", err)
			}
			return false
		}
		if err != nil {
			chunk := make([]byte, 4<<10)
			got, err := w.nc.Read(chunk)
			w.buf = append(w.buf[:len(w.buf):len(w.buf)], chunk[:got]...)
			if ne, ok := err.(net.Error); ok && ne.Timeout() { //nolint:errorlint // as net.Conn returns it
				return true
			}
			if err != nil {
				return false
			}
			continue
		}
		w.buf = w.buf[size:]
		n--
		if !w.answer(p) {
			return false
		}
	}
	return true
}

func (w *wanderer) answer(p mqtt.Packet) bool {
	if w.sloppy && w.r.IntN(2) == 0 {
		return true
	}
	switch p := p.(type) {
	case mqtt.Publish:
		switch p.QoS {
		case 1:
			return w.send(mqtt.Puback{PacketID: p.PacketID})
		case 2:
			return w.send(mqtt.Pubrec{PacketID: p.PacketID})
		}
	case mqtt.Pubrec:
		return w.send(mqtt.Pubrel{PacketID: p.PacketID})
	case mqtt.Pubrel:
		return w.send(mqtt.Pubcomp{PacketID: p.PacketID})
	case mqtt.Disconnect:
		return false
	case mqtt.Connack:
		return p.Code == mqtt.Success
	}
	return true
}
