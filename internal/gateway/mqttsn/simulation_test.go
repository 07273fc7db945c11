package mqttsn

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	sn "github.com/iotctl/iotctl/internal/client/mqttsn"
)

// TestSimulation has clients sleep, move, leave, publish and subscribe over a
// network that loses, repeats and reorders, while the gateway is killed now and
// then. After each storm comes a calm, in which everything that was promised has
// to arrive. IOTCTL_SEED plays the run of a failure again.
func TestSimulation(t *testing.T) {
	steps := 1_000_000
	if testing.Short() || underRaceDetector() {
		steps = 50_000
	}
	if s := os.Getenv("IOTCTL_STEPS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		steps = n
	}
	seed := rand.Uint64()
	if s := os.Getenv("IOTCTL_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("IOTCTL_SEED=%d IOTCTL_STEPS=%d plays this again", seed, steps)
		}
	})
	s := newSimulation(t, seed)
	for s.steps < steps {
		s.storm(20_000)
		s.calm()
	}
	t.Logf("%d steps, %v of virtual time, %d crashes, %s", s.steps, s.w.now.Sub(s.began).Round(time.Minute), s.crashes, s.sums())
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 64<<20 {
		t.Errorf("%d MiB are in use at the end", m.HeapAlloc>>20)
	}
}

// simulatedClients is how many there are.
const simulatedClients = 8

// simulation is a world, clients, and the network between them.
type simulation struct {
	t        *testing.T
	r        *rand.Rand
	w        *world
	began    time.Time
	clients  []*simulatedClient
	at       map[netip.AddrPort]*simulatedClient
	wire     passages
	sent     int // datagrams, for the order of those that arrive together
	fired    time.Time
	calmly   bool // nothing is lost, and nobody begins anything
	steps    int
	crashes  int
	tokens   uint64
	upward   map[string]*promise // by payload
	downward map[string]*promise
	log      []string // the last of what has happened
}

// promise is a message, what was promised for it, and how often it has arrived.
type promise struct {
	qos     int8
	owed    bool // its sender was told that it is safe, or is to be
	once    bool // more than once is a fault
	arrived int
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	s := &simulation{
		t: t, r: rand.New(rand.NewPCG(seed, 6)), at: map[netip.AddrPort]*simulatedClient{},
		upward: map[string]*promise{}, downward: map[string]*promise{},
	}
	s.w = newWorld(t, map[string]string{"topics.predefined": "7=seven"})
	s.began, s.fired = s.w.now, s.w.now
	for i := range simulatedClients {
		s.clients = append(s.clients, newSimulatedClient(s, i, seed))
	}
	return s
}

func (s *simulation) upTo(d time.Duration) time.Duration { return time.Duration(s.r.Int64N(int64(d))) }

func (s *simulation) chance(p float64) bool { return s.r.Float64() < p }

func (s *simulation) note(format string, args ...any) {
	line := s.w.now.Sub(s.began).Round(time.Millisecond).String() + " " + fmt.Sprintf(format, args...)
	s.log = append(s.log, line)
	if len(s.log) > 4000 {
		s.log = append(s.log[:0], s.log[2000:]...)
	}
}

// fail ends the test with what has happened last to whom it is about.
func (s *simulation) fail(about, format string, args ...any) {
	s.t.Helper()
	var lines []string
	for _, l := range s.log {
		if about == "" || strings.Contains(l, about) || strings.Contains(l, "killed") {
			lines = append(lines, l)
		}
	}
	s.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(lines[max(0, len(lines)-60):], "\n"))
}

// storm is so many steps of everything.
func (s *simulation) storm(steps int) {
	for end := s.steps + steps; s.steps < end; {
		if s.chance(0.0005) {
			s.fuse()
		}
		s.step()
		if s.w.life.over {
			s.crash()
		}
	}
}

// fuse has the process die in the middle of something soon.
func (s *simulation) fuse() {
	n := s.r.IntN(6)
	if s.chance(0.5) {
		s.w.store.fuse = n + 1
	} else {
		s.w.air.fuse = n + 1
	}
}

func (s *simulation) crash() {
	s.crashes++
	s.note("killed")
	s.drain()
	s.w.restart()
	s.drain()
}

// calm is long enough for everything that is owed to arrive, and looks whether it
// has.
func (s *simulation) calm() {
	s.t.Helper()
	s.note("calm")
	s.calmly = true
	s.w.store.fuse, s.w.air.fuse = 0, 0
	for _, c := range s.clients {
		c.next = s.w.now
	}
	end := s.w.now.Add(30 * time.Minute)
	for s.w.now.Before(end) && !s.settled() {
		s.step()
	}
	s.judge()
	s.calmly = false
	clear(s.upward)
	clear(s.downward)
}

// settled reports whether nothing is left to be done.
func (s *simulation) settled() bool {
	for _, c := range s.clients {
		if c.core.State() != sn.StateActive || !c.core.Idle() {
			return false
		}
	}
	for _, all := range []map[string]*promise{s.upward, s.downward} {
		for _, p := range all {
			if p.owed && p.arrived == 0 {
				return false
			}
		}
	}
	return true
}

func (s *simulation) judge() {
	s.t.Helper()
	for _, c := range s.clients {
		if c.core.State() != sn.StateActive || !c.core.Idle() {
			s.fail(c.id, "%s is stuck: %v, idle %v", c.id, c.core.State(), c.core.Idle())
		}
	}
	for dir, all := range map[string]map[string]*promise{"up": s.upward, "down": s.downward} {
		for payload, p := range all {
			who, _, _ := strings.Cut(payload, "-")
			if p.owed && p.arrived == 0 {
				s.fail(who, "%s: %s at QoS %d was acknowledged and has not arrived", dir, payload, p.qos)
			}
			if p.once && p.arrived > 1 {
				s.fail(who, "%s: %s at QoS 2 has arrived %d times", dir, payload, p.arrived)
			}
		}
	}
	// A CONNECT that was late, from where nobody is any more, is remembered a while.
	if n := s.w.clients() - int(s.w.gw.halfOpen.Load()); n > simulatedClients {
		s.fail("", "the gateway knows %d clients of %d", n, simulatedClients)
	}
}

func (s *simulation) sums() string {
	var all []string
	for name, n := range s.w.gw.Counters() {
		if n > 0 && !strings.Contains(name, "/") {
			all = append(all, fmt.Sprintf("%s %d", name, n))
		}
	}
	return strings.Join(all, ", ")
}

// step is the next thing that happens.
func (s *simulation) step() {
	s.steps++
	const fireEvery = 500 * time.Millisecond
	at, do := s.fired.Add(fireEvery), func() {
		s.fired = s.w.now
		s.w.gw.fire(s.w.now)
	}
	for _, c := range s.clients {
		if c.next.Before(at) {
			at, do = c.next, c.act
		}
		if d := c.core.Deadline(); !d.IsZero() && d.Before(at) {
			at, do = d, c.tick
		}
	}
	if len(s.wire) > 0 && s.wire[0].at.Before(at) {
		at, do = s.wire[0].at, s.arrive
	}
	if at.After(s.w.now) {
		s.w.now = at
	}
	do()
	s.drain()
}

// drain puts what the gateway has sent on the wire, and notes what has reached the
// MQTT side.
func (s *simulation) drain() {
	for _, d := range s.w.air.queue {
		s.transmit(false, d.Addr, d.Data)
	}
	s.w.air.queue = s.w.air.queue[:0]
	for line, ok := s.w.mqtt.next(); ok; line, ok = s.w.mqtt.next() {
		words := strings.Split(line, " ")
		if p := s.upward[words[2]]; p != nil {
			who, _, _ := strings.Cut(words[2], "-")
			s.note("%s: the MQTT side has %s", who, words[2])
			p.arrived++
			if p.once && p.arrived > 1 {
				s.fail(who, "up: %s at QoS 2 has arrived %d times", words[2], p.arrived)
			}
		}
	}
}

// passage is a datagram on its way.
type passage struct {
	at   time.Time
	n    int
	up   bool
	peer netip.AddrPort
	data []byte
}

type passages []passage

func (f passages) Len() int { return len(f) }
func (f passages) Less(i, j int) bool {
	if f[i].at.Equal(f[j].at) {
		return f[i].n < f[j].n
	}
	return f[i].at.Before(f[j].at)
}
func (f passages) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *passages) Push(x any)   { *f = append(*f, x.(passage)) }

func (f *passages) Pop() any {
	old := *f
	x := old[len(old)-1]
	*f = old[:len(old)-1]
	return x
}

// transmit has a datagram arrive never, once or twice, soon or after others.
func (s *simulation) transmit(up bool, peer netip.AddrPort, b []byte) {
	copies := 1
	if !s.calmly {
		switch {
		case s.chance(0.08):
			return
		case s.chance(0.05):
			copies = 2
		}
	}
	for range copies {
		delay := time.Millisecond + s.upTo(50*time.Millisecond)
		if !s.calmly && s.chance(0.05) {
			delay += s.upTo(4 * time.Second)
		}
		s.sent++
		heap.Push(&s.wire, passage{s.w.now.Add(delay), s.sent, up, peer, append([]byte(nil), b...)})
	}
}

func (s *simulation) arrive() {
	f := heap.Pop(&s.wire).(passage)
	if f.up {
		s.note("%s -> %s", s.who(f.peer), explain(f.data, false))
		s.w.receive(f.peer, f.data)
		return
	}
	if c := s.at[f.peer]; c != nil {
		c.hear(f.data)
	}
	if f.peer == forwarderAddress {
		for _, c := range s.clients {
			if c.node != nil {
				c.hear(f.data)
			}
		}
	}
}

// who is at the address, for people.
func (s *simulation) who(a netip.AddrPort) string {
	if c := s.at[a]; c != nil {
		return c.id
	}
	return a.String()
}

// publishDown is the MQTT side publishing to a client.
func (s *simulation) publishDown(c *simulatedClient) {
	s.tokens++
	qos := int8(s.r.IntN(3))
	payload := fmt.Sprintf("%s-down%d", c.id, s.tokens)
	topic, subscribed := fmt.Sprintf("dev/%d/%d", c.n, s.r.IntN(5)), c.subscribed
	p := &promise{qos: qos, once: qos == 2}
	s.downward[payload] = p
	s.note("publish %s %d %s", topic, qos, payload)
	err := s.w.mqtt.publish(topic, byte(qos), payload, false)
	p.owed = err == nil && !s.w.life.over && qos > 0 && subscribed
}
