package serve_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/mem"
)

var errDisk = errors.New("sync: input/output error")

// frail is a store in memory that breaks and fills up when it is told to.
type frail struct {
	store.Store
	broken atomic.Bool
	failed chan error
	room   atomic.Pointer[store.Room]
}

func newFrail() *frail {
	f := &frail{Store: mem.New(), failed: make(chan error, 1)}
	f.room.Store(&store.Room{Free: 1000})
	return f
}

func (f *frail) Failed() <-chan error { return f.failed }
func (f *frail) Room() store.Room     { return *f.room.Load() }

func (f *frail) Apply(ctx context.Context, ops []store.Op) error {
	if f.broken.Load() {
		select {
		case f.failed <- errDisk:
		default:
		}
		return errDisk
	}
	return f.Store.Apply(ctx, ops)
}

func (f *frail) Close() error {
	if f.broken.Load() {
		return errDisk
	}
	return f.Store.Close()
}

func (f *frail) builtin() serve.Builtin {
	b := servetest.Builtin()
	b.Stores = []serve.Store{serve.NewStore("frail", func(*slog.Logger, struct{}) (store.Store, error) { return f, nil })}
	return b
}

// Whoever waits for an acknowledgement when the store breaks never gets it.
func TestABrokenStoreEndsTheServer(t *testing.T) {
	f := newFrail()
	s, err := serve.Start(t.Context(), serve.Config{Builtin: f.builtin(), Listeners: []serve.Listener{{URL: "mqtt://127.0.0.1:0"}}})
	if err != nil {
		t.Fatal(err)
	}
	c, idle := mustConnect(t, s.URLs()[0], "", nil), mustConnect(t, s.URLs()[0], "", nil)
	kept := mqtt.Publish{Topic: []byte("a"), QoS: 1, Retain: true, PacketID: 1, Payload: []byte("x")}
	c.send(kept)
	if p := c.next(); p.Type() != mqtt.TypePuback {
		t.Fatalf("%v in place of PUBACK", p.Type())
	}
	f.broken.Store(true)
	kept.PacketID, kept.Payload = 2, []byte("y")
	c.send(kept)
	rest, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	for c.buf = rest; len(c.buf) > 0; {
		if p := c.next(); p.Type() != mqtt.TypeDisconnect {
			t.Errorf("%v after the store has broken", p.Type())
		}
	}
	if code := idle.farewell(); code != mqtt.ServerShuttingDown {
		t.Errorf("farewell %v", code)
	}
	c.Close()
	idle.Close()
	err = s.Wait()
	var broken *serve.StoreError
	if !errors.As(err, &broken) || !errors.Is(err, errDisk) {
		t.Fatalf("%v, want a StoreError", err)
	}
	if want := "the frail store has failed: sync: input/output error"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// until waits for a line that contains want.
func (b *syncBuffer) until(t *testing.T, want string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		b.mu.Lock()
		log := b.buf.String()
		b.mu.Unlock()
		if strings.Contains(log, want) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no %q in\n%s", want, log)
		}
	}
}

func TestRoomOfTheStoreIsLoggedAndInSys(t *testing.T) {
	f := newFrail()
	var log syncBuffer
	s := servetest.Start(t, func(c *serve.Config) {
		c.Builtin = f.builtin()
		c.Broker.SysInterval = 10 * time.Millisecond
		c.Logger = serve.NewLogger(&log, serve.Text, slog.LevelInfo)
	})
	c := mustConnect(t, s.URLs()[0], "", nil)
	c.follow("$SYS/broker/store/+", "$SYS/broker/store/full=0", "$SYS/broker/store/free=1000")
	for _, step := range []struct {
		room store.Room
		want string
	}{
		{store.Room{Free: 100, Low: true}, `level=WARN msg="the store is running out of room" free=100`},
		{store.Room{Free: 10, Low: true, Full: true}, `level=ERROR msg="the store is full: no messages above QoS 0 are taken until there is room" free=10`},
		{store.Room{Free: 101, Low: true}, `level=INFO msg="the store has room again" free=101`},
		{store.Room{Free: 999}, `level=INFO msg="the store has enough room again" free=999`},
	} {
		f.room.Store(&step.room)
		log.until(t, step.want)
	}
	f.room.Store(&store.Room{Free: 1, Full: true})
	c.follow("$SYS/broker/store/+", "$SYS/broker/store/full=1", "$SYS/broker/store/free=1")
}

// A store without a bound has no room to speak of.
func TestAStoreWithoutBoundIsNotInSys(t *testing.T) {
	s := servetest.Start(t, func(c *serve.Config) { c.Broker.SysInterval = 10 * time.Millisecond })
	c := mustConnect(t, s.URLs()[0], "", nil)
	c.send(mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "$SYS/broker/#"}}})
	for {
		p, ok := c.next().(mqtt.Publish)
		if !ok {
			continue
		}
		topic := string(p.Topic)
		if topic == "$SYS/broker/store/full" || topic == "$SYS/broker/store/free" {
			t.Fatal(topic)
		}
		if strings.HasPrefix(topic, "$SYS/broker/listeners/") { // from the same source
			return
		}
	}
}
