package client_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/client/emqtcp"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

func TestDeviceOutcomesFollowTheAnswers(t *testing.T) {
	d := textDevice(t, newServer(t, func(c *serverConn) {
		c.login()
		for _, answer := range []string{"OK", "BAD | REASON=no", "BAD", "OK"} {
			c.line()
			c.say(answer)
		}
		c.rest()
	}), client.Options{})
	connect(t, d)
	var mu sync.Mutex
	var got []string
	for _, payload := range []string{"1", "2", "3", "4"} {
		err := d.Publish(soon(t), client.Message{Topic: "v", Payload: []byte(payload)}, func(o client.Outcome) {
			mu.Lock()
			defer mu.Unlock()
			word := map[client.OutcomeKind]string{client.Acknowledged: "done", client.Refused: "refused", client.Lost: "lost"}[o.Kind]
			if o.Err != nil {
				word = o.Err.Error()
			}
			got = append(got, word)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
	if s := strings.Join(got, ", "); s != "done, message refused: no, message refused, done" {
		t.Error(s)
	}
	if err := d.Disconnect(soon(t), 0, nil); err != nil || d.Err() != nil {
		t.Error(err, d.Err())
	}
	if err := d.Publish(soon(t), client.Message{Topic: "v"}, nil); !errors.Is(err, client.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestDeviceMessagesWithoutAnswerAreLostWithTheConnection(t *testing.T) {
	d := textDevice(t, newServer(t, func(c *serverConn) {
		c.login()
		c.line()
	}), client.Options{})
	connect(t, d)
	o, err := d.PublishWait(soon(t), client.Message{Topic: "v", Payload: []byte("1")})
	if err != nil || o.Kind != client.Lost || !errors.Is(o.Err, client.ErrConnectionLost) {
		t.Errorf("%+v, %v", o, err)
	}
	if err := ended(t, d); !errors.Is(err, client.ErrConnectionLost) {
		t.Error(err)
	}
}

func TestDeviceConnectsAgainAndSubscribesAgain(t *testing.T) {
	var mu sync.Mutex
	var heard []string
	connections := 0
	s := newServer(t, func(c *serverConn) {
		c.login()
		l := c.line()
		mu.Lock()
		connections++
		first := connections == 1
		heard = append(heard, l)
		mu.Unlock()
		c.say("OK", "SUB | VARIABLE=v | VALUE=x")
		if !first {
			c.rest()
		}
	})
	got := make(chan client.Message, 10)
	states := make(chan client.StateKind, 10)
	d := textDevice(t, s, client.Options{
		OnMessage: func(m client.Message) { got <- m },
		OnState:   func(s client.State) { states <- s.Kind },
		Reconnect: client.ReconnectPolicy{Attempts: -1, MinDelay: time.Millisecond},
	})
	connect(t, d)
	codes, err := d.Subscribe(soon(t), []client.Subscription{{Filter: "v"}}, nil)
	if err != nil || len(codes) != 1 || codes[0].IsError() {
		t.Fatal(codes, err)
	}
	for range 2 {
		select {
		case m := <-got:
			if m.Topic != "v" {
				t.Errorf("received %+v", m)
			}
		case <-soon(t).Done():
			t.Fatal("no message")
		}
	}
	wants := func(all ...client.StateKind) {
		t.Helper()
		for _, want := range all {
			if k := <-states; k != want {
				t.Fatalf("state %d, want %d", k, want)
			}
		}
	}
	wants(client.StateConnected, client.StateLost, client.StateReconnecting, client.StateConnected, client.StateResubscribed)
	if err := d.Disconnect(soon(t), 0, nil); err != nil {
		t.Error(err)
	}
	wants(client.StateClosed)
	if s := strings.Join(heard, ", "); s != "SUB | VARIABLE=v, SUB | VARIABLE=v" {
		t.Error(s)
	}
}

func TestDeviceDoesNotFightForItsIdentifier(t *testing.T) {
	d := textDevice(t, newServer(t, func(c *serverConn) {
		c.login()
		c.say("CLOSE | REASON=session taken over")
	}), client.Options{Reconnect: client.ReconnectPolicy{Attempts: -1, MinDelay: time.Millisecond}})
	connect(t, d)
	told := (*client.EndedError)(nil)
	if err := ended(t, d); !errors.As(err, &told) || !told.Final || told.Reason != "session taken over" {
		t.Error(err)
	}
}

func TestDeviceRefusals(t *testing.T) {
	d := textDevice(t, newServer(t, func(c *serverConn) {
		c.login()
		c.line()
		c.say("OK")
		c.line()
		c.say("BAD | REASON=not authorized")
		c.rest()
	}), client.Options{})
	connect(t, d)
	codes, err := d.Subscribe(soon(t), []client.Subscription{{Filter: "a"}, {Filter: "b"}, {Filter: "no/name"}}, nil)
	var reasons client.Refusals
	if !errors.As(err, &reasons) || len(codes) != 3 || codes[0].IsError() || codes[1] != mqtt.UnspecifiedError || codes[2] != mqtt.UnspecifiedError {
		t.Fatal(codes, err)
	}
	if reasons[0] != nil || reasons[1].Error() != "request refused: not authorized" || !strings.Contains(reasons[2].Error(), "holds '/'") {
		t.Errorf("%q", reasons)
	}
}

func TestDeviceLogins(t *testing.T) {
	for name, tc := range map[string]struct {
		serve func(c *serverConn)
		check func(err error) bool
	}{
		"refused": {
			func(c *serverConn) { c.line(); c.say("OK"); c.line(); c.say("BAD | REASON=not authorized"); c.rest() },
			func(err error) bool { return err.Error() == "login refused: not authorized" },
		},
		"closed at once": {
			func(*serverConn) {},
			func(err error) bool { return errors.Is(err, client.ErrUnanswered) },
		},
		"told why": {
			func(c *serverConn) { c.say("CLOSE | REASON=full") },
			func(err error) bool { return errors.As(err, new(*client.EndedError)) },
		},
		"never answered": {
			func(c *serverConn) { c.line(); c.line(); c.line() },
			func(err error) bool { return errors.Is(err, client.ErrTimeout) },
		},
		"another protocol": {
			func(c *serverConn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\n")) },
			func(err error) bool { return strings.Contains(err.Error(), "not of this protocol") },
		},
		"without an end": {
			func(c *serverConn) { _, _ = c.Write([]byte(strings.Repeat("x", 70_000))) },
			func(err error) bool { return strings.Contains(err.Error(), "not of this protocol") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := client.Options{Reconnect: client.ReconnectPolicy{Attempts: -1}}
			if name == "never answered" {
				o.ConnectTimeout = 50 * time.Millisecond
			}
			d := textDevice(t, newServer(t, tc.serve), o)
			if _, err := d.Connect(t.Context()); err == nil || !tc.check(err) {
				t.Error(err)
			}
			if ended(t, d) == nil {
				t.Error("no error is left")
			}
		})
	}
}

// A server that asks is answered, and what it says in between does no harm.
func TestDeviceAnswersWhetherItIsThere(t *testing.T) {
	answered := make(chan string, 1)
	d := textDevice(t, newServer(t, func(c *serverConn) {
		c.login()
		c.say("HELLO?")
		answered <- c.line()
		c.say("OK") // to nothing
		c.rest()
	}), client.Options{})
	connect(t, d)
	if got := <-answered; got != "HELLO!" {
		t.Errorf("answered %q", got)
	}
	if o, err := d.PublishWait(soon(t), client.Message{Topic: "v", Payload: []byte("1")}); err != nil || o.Kind != client.Acknowledged {
		t.Errorf("%+v, %v", o, err)
	}
}

func emqDevice(t *testing.T, s server, alive time.Duration) *client.Device {
	t.Helper()
	return emqDeviceWith(t, s, alive, client.Options{})
}

func emqDeviceWith(t *testing.T, s server, alive time.Duration, o client.Options) *client.Device {
	t.Helper()
	d, err := emqtcp.New(emqtcp.Config{ClientID: "dev1", Alive: alive})
	if err != nil {
		t.Fatal(err)
	}
	return newDevice(t, s, client.DeviceOptions{Options: o, Dialect: d, Alive: alive})
}

func TestDeviceBreaksItsSilence(t *testing.T) {
	pinged := make(chan byte, 1)
	d := emqDevice(t, newServer(t, func(c *serverConn) {
		_, _ = c.r.Discard(3 + 3 + len("dev1"))
		_, _ = c.Write([]byte{0x20, 0, 0})
		b, _ := c.r.ReadByte()
		pinged <- b
		_, _ = c.r.ReadString(0) // answers nothing
	}), 60*time.Millisecond)
	connect(t, d)
	if b := <-pinged; b != 0x40 {
		t.Errorf("%#x", b)
	}
	if err := ended(t, d); !errors.Is(err, client.ErrTimeout) || !errors.Is(err, client.ErrConnectionLost) {
		t.Error(err)
	}
}

// Who prints messages may be stopped, as a pager does, without the server being
// at fault.
func TestDeviceThatIsBusyWithAMessageDoesNotBlameTheServer(t *testing.T) {
	busy, got := make(chan struct{}), make(chan string, 2)
	d := emqDeviceWith(t, newServer(t, func(c *serverConn) {
		_, _ = c.r.Discard(3 + 3 + len("dev1"))
		_, _ = c.Write([]byte("\x20\x00\x00\x30\x00\x01a"))
		for range 12 { // longer than an answer may take
			if b, err := c.r.ReadByte(); b != 0x40 || err != nil {
				t.Errorf("%#x, %v in the place of a PING", b, err)
				break
			}
			_, _ = c.Write([]byte{0x50})
		}
		close(busy)
		_, _ = c.Write([]byte("\x30\x00\x01b"))
		_, _ = c.r.ReadString(0)
	}), 60*time.Millisecond, client.Options{OnMessage: func(m client.Message) {
		<-busy
		got <- string(m.Payload)
	}})
	connect(t, d)
	for _, want := range []string{"a", "b"} {
		select {
		case s := <-got:
			if s != want {
				t.Errorf("got %q, want %q", s, want)
			}
		case <-d.Done():
			t.Fatal(d.Err())
		}
	}
}

// A goodbye tells whether what was written has been read.
func TestDeviceNoticesAResetAtTheEnd(t *testing.T) {
	d := emqDevice(t, newServer(t, func(c *serverConn) {
		_, _ = c.r.Discard(3 + 3 + len("dev1"))
		_, _ = c.Write([]byte{0x20, 0, 0})
		_, _ = c.Read(make([]byte, 1))
		_ = c.Conn.(*net.TCPConn).SetLinger(0)
	}), 0)
	connect(t, d)
	if err := d.Publish(soon(t), client.Message{Payload: make([]byte, 60_000)}, nil); err != nil {
		t.Fatal(err)
	}
	// Before the goodbye, it has ended the device already.
	if err := errors.Join(d.Disconnect(soon(t), 0, nil), d.Err()); !errors.Is(err, client.ErrConnectionLost) {
		t.Error(err)
	}
}

func TestDevicePublishWaitsForRoom(t *testing.T) {
	release := make(chan struct{})
	d := textDevice(t, newServer(t, func(c *serverConn) {
		c.login()
		<-release
		c.rest()
	}), client.Options{MaxInflight: 2})
	connect(t, d)
	for range 2 {
		if err := d.Publish(soon(t), client.Message{Topic: "v", Payload: []byte("1")}, nil); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := d.Publish(ctx, client.Message{Topic: "v", Payload: []byte("1")}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	close(release)
	if err := d.Publish(soon(t), client.Message{Topic: "v", Payload: []byte("1")}, nil); err != nil {
		t.Error(err)
	}
	if err := d.Flush(soon(t)); err != nil {
		t.Error(err)
	}
}
