package mqtt_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

// The tests of the hostile_ files are the list of bad inputs and required
// answers, one test for each number. After each of them the broker still
// serves, and memory, goroutines and file descriptors are what they were.
//
// "M" in their comments is DISCONNECT or CONNACK with reason 0x81, "P" with
// 0x82, "X" the connection closed without a word. Clients before 5.0 always
// get X, except in CONNACK.

// arena describes the broker to attack. The zero value lets everybody in on a
// plain listener.
type arena struct {
	url    string // "": mqtt://127.0.0.1:0
	broker broker.Config
	gw     gw.Config
	listen transport.ListenConfig

	// The control client: how it dials, what it sends before MQTT, and what it
	// puts into its CONNECT.
	dial   transport.DialConfig
	header string
	login  func(*mqtt.Connect)
}

// hall is a broker under attack.
type hall struct {
	t *testing.T
	arena
	site
	log    *logbook
	before usage
	open   []net.Conn
	rounds int
}

// usage is what must come back to where it was.
type usage struct {
	heap              uint64
	goroutines, files int
}

// leeway is how far the heap may be from where it was.
const leeway = 2 << 20

// hostile runs an attack and looks at what it has left behind.
func hostile(t *testing.T, a arena, attack func(h *hall)) {
	t.Helper()
	h := &hall{t: t, arena: a, log: &logbook{}}
	logger := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	a.broker.Logger, a.gw.Logger, a.listen.Logger = logger, logger, logger
	if a.url == "" {
		a.url = "mqtt://127.0.0.1:0"
	}
	if a.listen.MaxConnRate == 0 {
		a.listen.MaxConnRate = -1 // an attack is quicker
	}
	h.site = startURL(t, a.url, a.broker, a.gw, a.listen)
	t.Cleanup(h.hangUp)
	h.serves() // also makes what is made once
	h.deserted()
	h.before = h.steady()
	attack(h)
	h.hangUp()
	h.serves()
	h.recovered()
	h.log.check(t)
}

// hangUp closes every connection of the attack.
func (h *hall) hangUp() {
	for _, nc := range h.open {
		_ = nc.Close()
	}
	h.open = nil
}

// socket dials the listener's socket, whatever is spoken above.
func (h *hall) socket() net.Conn { return h.socketFrom("") }

// socketFrom dials from another address of the loopback network.
func (h *hall) socketFrom(local string) net.Conn {
	h.t.Helper()
	var d net.Dialer
	if local != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(local)}
	}
	nc, err := d.Dial(h.l.Addr().Network(), h.l.Addr().String())
	if err != nil {
		h.t.Fatal(err)
	}
	h.open = append(h.open, nc)
	return nc
}

// dial returns a client that has not said a word.
func (h *hall) dial(v mqtt.Version) *raw {
	h.t.Helper()
	return &raw{t: h.t, nc: h.socket(), version: v}
}

// online returns a client with a fresh session that ends with the connection.
func (h *hall) online(v mqtt.Version, id string) *raw {
	h.t.Helper()
	return h.with(v, mqtt.Connect{ClientID: id, CleanStart: true})
}

// with returns a client that has been accepted.
func (h *hall) with(v mqtt.Version, c mqtt.Connect) *raw {
	h.t.Helper()
	r := h.dial(v)
	if ack := r.connect(c); ack.Code != mqtt.Success {
		h.t.Fatalf("CONNACK %s", ack.Code)
	}
	return r
}

// control returns a control client.
func (h *hall) control(id string) *raw {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var nc net.Conn
	var err error
	if h.header != "" {
		nc, err = net.Dial("tcp", h.addr)
	} else {
		nc, err = transport.Dial(ctx, h.l.URL(), h.arena.dial)
	}
	if err != nil {
		h.t.Fatalf("control client: %v", err)
	}
	h.open = append(h.open, nc)
	r := &raw{t: h.t, nc: nc, version: mqtt.V5}
	r.bytes([]byte(h.header))
	c := mqtt.Connect{ClientID: id, CleanStart: true}
	if h.login != nil {
		h.login(&c)
	}
	if ack := r.connect(c); ack.Code != mqtt.Success {
		h.t.Fatalf("control client: CONNACK %s", ack.Code)
	}
	return r
}

// serves lets two control clients exchange a message.
func (h *hall) serves() {
	h.t.Helper()
	h.rounds++
	want := fmt.Sprint("round ", h.rounds)
	a, b := h.control("control-a"), h.control("control-b")
	a.sub("control", 1)
	if code := b.publish(pub("control", want, 1)); code != mqtt.Success {
		h.t.Fatalf("control client: PUBACK %s", code)
	}
	if m := a.message(); string(m.Payload) != want {
		h.t.Fatalf("control client received %q, want %q", m.Payload, want)
	}
	for _, r := range []*raw{a, b} {
		r.send(mqtt.Disconnect{})
		r.closed()
	}
}

// eventually waits for what other goroutines bring about.
func (h *hall) eventually(what string, ok func() bool) {
	h.t.Helper()
	h.within(patience, what, ok)
}

// within is eventually for what takes longer on a machine that has other work.
func (h *hall) within(limit time.Duration, what string, ok func() bool) {
	h.t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatal("never happened: " + what)
		}
	}
}

// deserted waits until the broker has no connection left.
func (h *hall) deserted() {
	h.t.Helper()
	h.eventually("no connection is open", func() bool { return h.l.Counters().Open == 0 })
}

// heap is what is reachable.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC() // a second collection empties the pools
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// steady is the usage once the numbers have stopped falling.
func (h *hall) steady() usage {
	u := usage{goroutines: runtime.NumGoroutine()}
	for calm := 0; calm < 5; time.Sleep(2 * time.Millisecond) {
		if n := runtime.NumGoroutine(); n != u.goroutines {
			u.goroutines, calm = n, 0
			continue
		}
		calm++
	}
	u.files, u.heap = openFiles(), heap()
	return u
}

// grown is by how much the heap has grown since the attack began, in bytes.
func (h *hall) grown() int { return int(heap()) - int(h.before.heap) }

// atMost fails when the heap has grown by more than limit bytes. What the
// broker allocates while the heap is measured counts as reachable, so it is
// given a moment to come to rest.
func (h *hall) atMost(limit int, when string) {
	h.t.Helper()
	n := h.grown()
	for try := 0; n > limit && try < 5; try++ {
		time.Sleep(20 * time.Millisecond)
		n = h.grown()
	}
	if n > limit {
		h.t.Errorf("the heap has grown by %d KB %s, want at most %d KB", n>>10, when, limit>>10)
	}
}

// recovered waits until the attack has left nothing behind.
func (h *hall) recovered() {
	h.t.Helper()
	h.deserted()
	var now usage
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		now = usage{goroutines: runtime.NumGoroutine(), files: openFiles()}
		if now.goroutines <= h.before.goroutines && now.files <= h.before.files {
			break
		}
		if time.Now().After(end) {
			stacks := make([]byte, 64<<10)
			stacks = stacks[:runtime.Stack(stacks, true)]
			h.t.Fatalf("goroutines %d, were %d; open files %d, were %d\n%s",
				now.goroutines, h.before.goroutines, now.files, h.before.files, stacks)
		}
	}
	if n := h.grown(); n > leeway {
		h.t.Errorf("the heap is %d KB larger than before", n>>10)
	}
}

// logbook takes the log and judges every line.
type logbook struct {
	mu    sync.Mutex
	lines []string // the last of them, cut
	bad   []string
}

// Write implements io.Writer.
func (l *logbook) Write(b []byte) (int, error) {
	const mostLines, mostBytes = 1000, 400
	l.mu.Lock()
	defer l.mu.Unlock()
	line := bytes.TrimSuffix(b, []byte("\n"))
	clean := bytes.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) < 0
	if !clean || bytes.Contains(line, []byte("panic")) {
		l.bad = append(l.bad, fmt.Sprintf("%.2000q", line))
	}
	if len(l.lines) == mostLines {
		l.lines = append(l.lines[:0], l.lines[mostLines/2:]...)
	}
	l.lines = append(l.lines, string(line[:min(len(line), mostBytes)]))
	return len(b), nil
}

// about returns the lines from level INFO on that contain part.
func (l *logbook) about(part string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for _, line := range l.lines {
		if !strings.Contains(line, "level=DEBUG") && strings.Contains(line, part) {
			found = append(found, line)
		}
	}
	return found
}

// check fails for a panic, and for a line with bytes that a terminal would
// obey.
func (l *logbook) check(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.bad {
		t.Errorf("log line: %s", line)
	}
}
