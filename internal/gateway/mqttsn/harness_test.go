package mqttsn

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/netip"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/mem"
	"github.com/iotctl/iotctl/internal/transport"
)

// world is a gateway with a broker and a store, in which nothing happens by
// itself: time passes by advance, datagrams come by receive, and everything that
// follows has happened when these return.
type world struct {
	t      testing.TB
	config Config
	now    time.Time
	store  *fuse
	rules  *rules
	door   *door
	broker *broker.Broker
	gw     *Gateway
	port   *port
	work   *work
	life   *life
	air    *air
	mqtt   *mqttSide
	before map[string]uint64 // counters, at the last look
	drops  uint64            // all datagrams that were dropped, at the last look
}

func newWorld(t testing.TB, settings map[string]string) *world {
	t.Helper()
	w := &world{
		t: t, now: time.Unix(1_700_000_000, 0), rules: &rules{}, door: &door{}, life: &life{}, mqtt: &mqttSide{},
	}
	w.store, w.air = &fuse{Store: mem.New(), life: w.life}, &air{life: w.life}
	for key, value := range settings {
		if err := set(reflect.ValueOf(&w.config).Elem(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	w.config.Authenticator, w.config.Logger = w.door, slog.New(complaints{slog.DiscardHandler, t})
	w.boot()
	return w
}

// boot starts a broker and a gateway on the store.
func (w *world) boot() {
	w.t.Helper()
	b, err := broker.New(context.Background(), broker.Config{Store: w.store, Authorizer: w.rules, SysInterval: -1})
	if err != nil {
		w.t.Fatal(err)
	}
	w.broker = b
	if w.gw, err = newGateway(w.config, b, func() time.Time { return w.now }, true); err != nil {
		w.t.Fatal(err)
	}
	w.port = w.gw.portNamed("test")
	w.port.carrier = w.air
	w.work = w.gw.newWork()
	w.before, w.drops = w.gw.Counters(), 0
	w.mqtt.attach(w)
}

// restart kills the process: what it had in memory is gone.
func (w *world) restart() {
	w.t.Helper()
	w.life.over = true
	w.life = &life{}
	w.store, w.air = &fuse{Store: w.store.Store, life: w.life}, &air{life: w.life}
	w.boot()
	w.advance(0)
}

// complaints fails the test when the gateway says that it has a fault.
type complaints struct {
	slog.Handler
	t testing.TB
}

// Enabled implements slog.Handler.
func (complaints) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }

// Handle implements slog.Handler.
func (h complaints) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "internal error" {
		return nil // others may have faults
	}
	r.Attrs(func(a slog.Attr) bool { h.t.Errorf("the gateway has a fault: %v", a); return true })
	return nil
}

// reload changes a setting of the gateway that runs.
func (w *world) reload(key, value string) error {
	if err := set(reflect.ValueOf(&w.config).Elem(), key, value); err != nil {
		return err
	}
	return w.gw.Reload(w.config)
}

// life is that of a process. When it is over, nothing of it leaves any more.
type life struct{ over bool }

// burn shortens the fuse, if there is one, and reports whether the life is over.
func (l *life) burn(fuse *int) bool {
	if *fuse > 0 {
		*fuse--
		l.over = l.over || *fuse == 0
	}
	return l.over
}

// receive has a datagram come from the address.
func (w *world) receive(from netip.AddrPort, b []byte) {
	w.work.begin()
	w.gw.receive(w.work, path{port: w.port, addr: from}, append([]byte(nil), b...))
	w.work.end()
}

// advance lets time pass, from one timer to the next.
func (w *world) advance(d time.Duration) {
	for end := w.now.Add(d); ; {
		at := end
		if due, ok := w.due(); ok && due.Before(end) {
			at = due
		}
		if at.After(w.now) {
			w.now = at
		}
		w.gw.fire(w.now)
		if at == end {
			return
		}
	}
}

// due is when the next timer fires.
func (w *world) due() (time.Time, bool) {
	wheel := &w.gw.wheel
	first := int64(math.MaxInt64)
	for _, slot := range wheel.slots {
		for c := slot; c != nil; c = c.timer.next {
			first = min(first, c.timer.due)
		}
	}
	if first == math.MaxInt64 {
		return time.Time{}, false
	}
	return wheel.began.Add(time.Duration(max(first, wheel.at+1)) * tick), true
}

// clients is how many the gateway knows.
func (w *world) clients() int {
	known := map[*client]bool{}
	for i := range w.gw.clients.shards {
		for _, c := range w.gw.clients.shards[i].byPath {
			known[c] = true
		}
		for _, c := range w.gw.clients.shards[i].byID {
			known[c] = true
		}
	}
	return len(known)
}

// sessions is how many the broker has, but that of the MQTT side.
func (w *world) sessions() int { return w.broker.Sessions() - 1 }

// risen is by how much a counter has risen since the last look at it.
func (w *world) risen(name string) int {
	now, ok := w.gw.Counters()[name]
	if !ok {
		w.t.Fatalf("no counter %q: %v", name, w.gw.Counters())
	}
	n := now - w.before[name]
	w.before[name] = now
	return int(n)
}

// dropped is how many datagrams have been dropped since the last look.
func (w *world) dropped() int {
	sum := uint64(0)
	for _, n := range w.gw.drops() {
		sum += n
	}
	n := sum - w.drops
	w.drops = sum
	return int(n)
}

// fuse is a store that outlives the process, and can be full or out of order.
type fuse struct {
	store.Store
	life *life
	fuse int // the process dies instead of this batch, counted from 1
	full bool
	err  error
}

// Apply implements store.Store.
func (f *fuse) Apply(ctx context.Context, batch []store.Op) error {
	if f.life.burn(&f.fuse) {
		return store.ErrClosed
	}
	if f.err != nil {
		return f.err
	}
	return f.Store.Apply(ctx, batch)
}

// Room implements store.Bounded.
func (f *fuse) Room() store.Room { return store.Room{Free: 1 << 30, Full: f.full} }

// air is the carrier: it keeps what the gateway sends.
type air struct {
	queue []transport.Datagram
	life  *life
	fuse  int // the process dies instead of this datagram, counted from 1
}

// send implements carrier.
func (a *air) send(to netip.AddrPort, head, b []byte) {
	if !a.life.burn(&a.fuse) {
		a.queue = append(a.queue, transport.Datagram{Addr: to, Data: append(append([]byte(nil), head...), b...)})
	}
}

// flush implements carrier.
func (*air) flush() {}

// next takes the first datagram to the address.
func (a *air) next(to netip.AddrPort) ([]byte, bool) {
	for i, d := range a.queue {
		if d.Addr == to {
			a.queue = append(a.queue[:i:i], a.queue[i+1:]...)
			return d.Data, true
		}
	}
	return nil, false
}

// back puts one back that next has taken.
func (a *air) back(to netip.AddrPort, b []byte) {
	a.queue = append([]transport.Datagram{{Addr: to, Data: b}}, a.queue...)
}

// peerAddress is that of a peer of a script: "a", "b", or "a2" for another port
// of the first.
func peerAddress(peer string) netip.AddrPort {
	host, port := byte('a'), 1
	if peer != "" {
		host = peer[0]
	}
	if len(peer) > 1 {
		port, _ = strconv.Atoi(peer[1:])
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2 + host - 'a', 1}), uint16(10_000+port))
}

// messageTypes are the octets of all messages, by name.
var messageTypes = func() map[string]byte {
	m := map[string]byte{}
	for o := range 256 {
		if t := mqttsn.Version12.Type(byte(o)); t.Known() {
			m[t.String()] = byte(o)
		}
	}
	m["ENCAPSULATED"] = mqttsn.TypeEncapsulated.Octet()
	return m
}()

// explain is a datagram for people.
func explain(b []byte, fromGateway bool) string {
	st := &dissect.Stream{Direction: dissect.FromClient}
	if fromGateway {
		st.Direction = dissect.FromServer
	}
	p, _, err := dissect.MQTTSN{}.Dissect(b, st)
	if err != nil {
		return fmt.Sprintf("(%v)", err)
	}
	return fmt.Sprintf("%s %s", p.Type, p.Summary)
}

// rules is an authorizer that denies what is listed.
type rules struct{ denied map[string]bool }

func (r *rules) deny(action, topic string) {
	if r.denied == nil {
		r.denied = map[string]bool{}
	}
	r.denied[action+" "+topic] = true
}

// Authorize implements auth.Authorizer.
func (r *rules) Authorize(_ context.Context, _ *auth.Identity, act auth.Action, topic string) auth.Verdict {
	if r.denied[act.String()+" "+topic] {
		return auth.Deny
	}
	return auth.Allow
}

// door is an authenticator that lets everybody in but those listed.
type door struct{ refused map[string]bool }

func (d *door) refuse(id string) {
	if d.refused == nil {
		d.refused = map[string]bool{}
	}
	d.refused[id] = true
}

// Authenticate implements auth.Authenticator.
func (d *door) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	if d.refused[c.ClientID] {
		return auth.Identity{}, auth.Deny, nil
	}
	return auth.Identity{ClientID: c.ClientID, Method: "test"}, auth.Allow, nil
}

// set gives the setting its value, whose key is made of the names of fields in
// snake case: "sleep.max_messages".
func set(v reflect.Value, key, value string) error {
	name, rest, nested := strings.Cut(key, ".")
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() || !strings.EqualFold(v.Type().Field(i).Name, strings.ReplaceAll(name, "_", "")) {
			continue
		}
		f := v.Field(i)
		if nested {
			return set(f, rest, value)
		}
		return setValue(f, value)
	}
	return fmt.Errorf("no setting %q in %s", key, v.Type())
}

func setValue(f reflect.Value, value string) error {
	switch f.Addr().Interface().(type) {
	case *[]Predefined: // 17=name, 18=name@client
		var all []Predefined
		for _, s := range strings.Fields(value) {
			id, name, _ := strings.Cut(s, "=")
			n, err := strconv.ParseUint(id, 10, 16)
			if err != nil {
				return err
			}
			name, client, _ := strings.Cut(name, "@")
			all = append(all, Predefined{ID: uint16(n), Topic: name, Client: client})
		}
		f.Set(reflect.ValueOf(all))
		return nil
	case *[]string:
		f.Set(reflect.ValueOf(strings.Fields(value)))
		return nil
	case *time.Duration:
		d, err := time.ParseDuration(value)
		f.SetInt(int64(d))
		return err
	case **bool:
		b, err := strconv.ParseBool(value)
		f.Set(reflect.ValueOf(&b))
		return err
	}
	switch f.Kind() {
	case reflect.Bool:
		b, err := strconv.ParseBool(value)
		f.SetBool(b)
		return err
	case reflect.String:
		f.SetString(value)
	case reflect.Float64:
		x, err := strconv.ParseFloat(value, 64)
		f.SetFloat(x)
		return err
	case reflect.Int, reflect.Int64:
		n, err := strconv.Atoi(value)
		f.SetInt(int64(n))
		return err
	case reflect.Uint8, reflect.Uint16:
		n, err := strconv.ParseUint(value, 10, 16)
		f.SetUint(n)
		return err
	default:
		return fmt.Errorf("settings of type %s have no text here", f.Type())
	}
	return nil
}

// underRaceDetector reports whether this test was built with -race.
func underRaceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// drops are those of the counters that each datagram raises that is dropped.
func (g *Gateway) drops() map[string]uint64 {
	drops := g.Counters()
	maps.DeleteFunc(drops, func(name string, _ uint64) bool { return !strings.HasPrefix(name, "dropped/") })
	return drops
}
