//go:build unix

package interop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// driver lets a client library do something. What comes of it stands in the
// ledger.
type driver interface {
	// subscribe returns when the broker has answered.
	subscribe(filter string, qos byte) error
	unsubscribe(filter string) error
	// publish may return before the broker has answered.
	publish(ctx context.Context, topic string, qos byte, payload []byte) error
	leave()
}

// library is one way of connecting to a session.
type library struct {
	name    string
	version mqtt.Version
	connect func(d *daemon, c *tap, dir string) (driver, error)
}

var libraries = []library{
	{"ours5", mqtt.V5, connectOurs},
	{"ours311", mqtt.V311, connectOurs},
	{"paho", mqtt.V311, connectPaho},
}

// ours is internal/client, which goes on over connections that break.
type ours struct{ *client.Client }

func connectOurs(d *daemon, c *tap, _ string) (driver, error) {
	o := client.Options{
		Dial: func(ctx context.Context) (net.Conn, error) {
			nc, err := d.dial(ctx)
			if err != nil {
				return nil, err
			}
			return c.conn(nc), nil
		},
		Version: c.version, ClientID: c.id, ConnectTimeout: patience,
		Reconnect: client.ReconnectPolicy{Attempts: -1, MinDelay: time.Millisecond, MaxDelay: 10 * time.Millisecond},
		OnMessage: func(client.Message) {},
	}
	if c.version == mqtt.V5 {
		o.Properties = mqtt.Properties{}.AppendUint32(mqtt.PropSessionExpiryInterval, 86400)
	}
	cl, err := client.New(o)
	if err != nil {
		return nil, err
	}
	_, err = cl.Connect(context.Background())
	return ours{cl}, err
}

func (o ours) subscribe(filter string, qos byte) error {
	_, err := o.Subscribe(context.Background(), []client.Subscription{{Filter: filter, QoS: qos}}, nil)
	return err
}

func (o ours) unsubscribe(filter string) error {
	_, err := o.Unsubscribe(context.Background(), []string{filter}, nil)
	return err
}

func (o ours) publish(ctx context.Context, topic string, qos byte, payload []byte) error {
	return o.Publish(ctx, client.Message{Topic: topic, QoS: qos, Payload: payload}, nil)
}

func (o ours) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = o.Disconnect(ctx, mqtt.Success, nil)
}

// pahoClient is Eclipse Paho for Go with its files. It may send what is new
// before what it repeats, so it gets one message at a time.
type pahoClient struct {
	paho.Client
	c *tap
}

func connectPaho(d *daemon, c *tap, dir string) (driver, error) {
	o := paho.NewClientOptions().AddBroker("tcp://broker").SetClientID(c.id).SetProtocolVersion(4).
		SetCleanSession(false).SetStore(paho.NewFileStore(filepath.Join(dir, c.id))).
		SetAutoReconnect(true).SetMaxReconnectInterval(10 * time.Millisecond).SetWriteTimeout(patience).
		SetDefaultPublishHandler(func(paho.Client, paho.Message) {})
	o.SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		nc, err := d.dial(ctx)
		if err != nil {
			return nil, err
		}
		return c.conn(nc), nil
	})
	p := pahoClient{paho.NewClient(o), c}
	return p, wait(p.Connect())
}

func wait(t paho.Token) error {
	if !t.WaitTimeout(patience) {
		return os.ErrDeadlineExceeded
	}
	return t.Error()
}

func (p pahoClient) subscribe(filter string, qos byte) error {
	return wait(p.Subscribe(filter, qos, nil))
}
func (p pahoClient) unsubscribe(filter string) error { return wait(p.Unsubscribe(filter)) }

func (p pahoClient) publish(ctx context.Context, topic string, qos byte, payload []byte) error {
	before := p.c.settledSoFar()
	p.Publish(topic, qos, false, payload)
	for p.c.settledSoFar() == before {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (p pahoClient) leave() { p.Disconnect(uint(patience.Milliseconds())) }

// troupe is the clients of a test, online and offline.
type troupe struct {
	t      *testing.T
	d      *daemon
	l      *ledger
	random *rand.Rand
	dir    string

	members []*member
}

// member is one client with a session.
type member struct {
	library
	id     string
	tap    *tap
	driver driver // nil: offline
	seq    map[string]int
}

func (tr *troupe) add(lib library, role string) *member {
	id := role + "-" + lib.name
	m := &member{library: lib, id: id, tap: tr.l.tap(id, lib.version), seq: make(map[string]int)}
	tr.members = append(tr.members, m)
	return m
}

func (tr *troupe) online(m *member) {
	tr.t.Helper()
	var err error
	if m.driver, err = m.connect(tr.d, m.tap, tr.dir); err != nil {
		tr.t.Fatalf("%s: %v", m.id, err)
	}
}

func (tr *troupe) offline(members ...*member) {
	var all sync.WaitGroup
	for _, m := range members {
		if m.driver != nil {
			all.Go(m.driver.leave)
		}
		defer func() { m.driver = nil }()
	}
	all.Wait()
}

// next publishes the next message of m, at QoS 1 or 2.
func (m *member) next(ctx context.Context, r *rand.Rand) error {
	qos := byte(1 + r.IntN(2))
	topic := fmt.Sprintf("t/%s/%d", m.id, qos)
	filler := r.IntN(200)
	if r.IntN(50) == 0 {
		filler = r.IntN(20_000)
	}
	m.seq[topic]++
	return m.driver.publish(ctx, topic, qos, payload(m.id, m.seq[topic], filler))
}

// until waits for what the clients bring about.
func (tr *troupe) until(what string, ok func() bool) {
	tr.t.Helper()
	for deadline := time.Now().Add(2 * patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			acked, received := tr.l.counts()
			tr.t.Errorf("never happened: %s; %d acknowledged, %d received", what, acked, received)
			tr.report()
			tr.t.FailNow()
		}
	}
}

// drained waits until all is acknowledged and everybody online has received
// what is owed to him.
func (tr *troupe) drained() {
	tr.t.Helper()
	tr.until("all is acknowledged", func() bool { return tr.l.open() == 0 })
	tr.until("all has arrived", func() bool { return tr.l.owed(tr.here()) == 0 })
}

// here says who is online.
func (tr *troupe) here() map[string]bool {
	online := make(map[string]bool)
	for _, m := range tr.members {
		online[m.id] = m.driver != nil
	}
	return online
}

// report prints the violations and fails if there are any. Who is offline need
// not have received anything yet.
func (tr *troupe) report() {
	tr.t.Helper()
	online := tr.here()
	tr.l.mu.Lock()
	defer tr.l.mu.Unlock()
	rules := make(map[string]int)
	for _, v := range tr.l.violations() {
		rule, what, _ := strings.Cut(v, ": ")
		if who, _, _ := strings.Cut(what, " "); rule == "lost" && !online[who] {
			continue
		}
		if rules[rule]++; rules[rule] <= 10 {
			tr.t.Error(v)
		}
	}
	for rule, n := range rules {
		tr.t.Errorf("%s: %d in all", rule, n)
	}
}

// seed is IOTCTL_SEED, to repeat a run as far as that is possible.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := rand.Uint64()
	if s := os.Getenv("IOTCTL_SEED"); s != "" {
		var err error
		if n, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("IOTCTL_SEED=%d", n)
	return n
}

// unlimited queues: what is dropped by a limit is no loss.
const unlimited = "broker: {queue: {messages: 10000000, bytes: 10GiB}}\n"

// TestKilledBroker lets clients with sessions publish and receive while the
// broker is killed again and again.
func TestKilledBroker(t *testing.T) {
	rounds := 10
	if nightly() {
		rounds = 100
	}
	const roundsPerScene = 5 // a client of ours takes eight ends in a row for a fight
	n := seed(t)
	tr := &troupe{t: t, d: newDaemon(t, unlimited), l: newLedger(t), random: rand.New(rand.NewPCG(n, 1)), dir: t.TempDir()}
	var publishers, subscribers []*member
	for _, lib := range libraries {
		publishers = append(publishers, tr.add(lib, "pub"))
		for qos := byte(1); qos <= 2; qos++ {
			s := tr.add(lib, fmt.Sprint("sub", qos))
			tr.online(s)
			if err := s.driver.subscribe("t/#", qos); err != nil {
				t.Fatal(err)
			}
			subscribers = append(subscribers, s)
		}
	}
	fickle := tr.add(libraries[0], "fickle")
	for left := rounds; left > 0; left -= roundsPerScene {
		for _, m := range append(publishers, fickle) {
			tr.online(m)
		}
		tr.offline(subscribers...)
		for _, s := range subscribers {
			if tr.random.IntN(3) > 0 { // some sleep through a scene
				tr.online(s)
			}
		}
		tr.scene(min(left, roundsPerScene), publishers, fickle)
		tr.drained()
		tr.offline(publishers...)
		tr.offline(fickle)
	}
	for _, s := range subscribers {
		if s.driver == nil {
			tr.online(s)
		}
	}
	tr.online(fickle)
	tr.drained()
	tr.report()
	tr.offline(tr.members...)
	tr.d.stop()
	tr.d.check()
	acked, received := tr.l.counts()
	t.Logf("%d rounds, %d acknowledged, %d received", rounds, acked, received)
}

// scene publishes while the broker is killed some times.
func (tr *troupe) scene(kills int, publishers []*member, fickle *member) {
	tr.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var busy sync.WaitGroup
	for _, p := range publishers {
		r := rand.New(rand.NewPCG(tr.random.Uint64(), 2))
		busy.Go(func() {
			for ctx.Err() == nil {
				_ = p.next(ctx, r)
			}
		})
	}
	busy.Go(func() {
		filter := "t/" + publishers[0].id + "/#"
		for ctx.Err() == nil {
			_ = fickle.driver.subscribe(filter, 2)
			time.Sleep(20 * time.Millisecond) // for the messages of others
			_ = fickle.driver.unsubscribe(filter)
		}
	})
	for range kills {
		if tr.random.IntN(2) == 0 { // else perhaps before the clients are back
			tr.progress()
		}
		time.Sleep(time.Duration(tr.random.IntN(150)) * time.Millisecond) // any moment will do
		tr.d.restart()
	}
	tr.progress()
	cancel()
	busy.Wait()
}

// progress waits until everybody online has sent or received something.
func (tr *troupe) progress() {
	tr.t.Helper()
	before := make(map[*member]int)
	for _, m := range tr.members {
		before[m] = m.tap.progress()
	}
	for _, m := range tr.members {
		if m.driver != nil && m.id != "fickle-"+m.name {
			tr.until(m.id+" goes on", func() bool { return m.tap.progress() > before[m] })
		}
	}
}
