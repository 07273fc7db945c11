package iottext_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"

	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
	gw "github.com/iotctl/iotctl/internal/gateway/iottext"
)

const ask = "START | COMMAND=HELLO? | END"

func TestSilentDeviceIsAskedThreeTimesAndLetGo(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{HelloInterval: 20 * time.Millisecond})
	c := s.device("lamp")
	c.ended(ask, ask, ask, closed("HELLO? was not answered"))
	gatewaytest.Eventually(t, "the device is detached", func() bool { return s.b.Stats().Connected.Load() == 0 })
}

func TestStrangersAreAskedToo(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{HelloInterval: 20 * time.Millisecond, HelloUnanswered: 1})
	s.dial().ended(ask, closed("HELLO? was not answered"))
}

func TestDeviceThatAnswersStays(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{HelloInterval: 200 * time.Millisecond})
	c := s.device("lamp")
	for range 5 {
		c.reads(ask)
		c.typed("START | COMMAND=HELLO! | END")
	}
	// None of these has been answered in turn.
	c.typed("START | COMMAND=PUB | VARIABLE=temp/ | VALUE=1 | END")
	answer := c.line()
	for answer == ask { // we are slow
		c.typed("START | COMMAND=HELLO! | END")
		answer = c.line()
	}
	if want := bad(`the name "temp/" holds '/'`); answer != want {
		t.Errorf("read %q, want %q", answer, want)
	}
}

func TestTakeOver(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	first := s.device("lamp")
	second := s.device("lamp")
	first.ended(closed("session taken over"))
	s.attach("phone").publish("text/dev/lamp/in", "on", false)
	second.reads("START | COMMAND=MSG | DEVICE=phone | VALUE=on | END")
}

// TestLastWordsAreNotLost: the connection is ended by somebody else just when its
// own goroutine has answered and looks whether it is to end.
func TestLastWordsAreNotLost(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	old := s.device("lamp")
	for range 300 {
		c := s.dial()
		old.does("nonsense", bad("a line begins with START and a bar"))
		c.typed("START | COMMAND=ID | ID=lamp | END")
		old.ended(closed("session taken over"))
		c.reads(ok)
		old = c
	}
}

func TestClientRegistry(t *testing.T) {
	for _, shared := range []bool{false, true} {
		s := start(t, broker.Config{}, gw.Config{ShareClientRegistry: shared})
		s.attach("lamp") // of another protocol
		s.device("lamp")
		want := int64(2)
		if shared {
			want = 1
		}
		if n := s.b.Stats().Connected.Load(); n != want {
			t.Errorf("shared %v: %d are connected, want %d", shared, n, want)
		}
	}
}

func TestShutdownSaysClose(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	device, stranger := s.device("lamp"), s.dial()
	stranger.does("START | COMMAND=HELLO! | END", ok)
	done := make(chan struct{})
	go func() {
		defer close(done)
		device.ended(closed("server shutting down"))
		stranger.ended(closed("server shutting down"))
	}()
	s.stop()
	<-done
}

// rights denies what its lists name.
type rights map[auth.Action]string

func (r rights) Authorize(_ context.Context, _ *auth.Identity, act auth.Action, topic string) auth.Verdict {
	if r[act] == topic {
		return auth.Deny
	}
	return auth.Allow
}

func TestRights(t *testing.T) {
	r := rights{auth.Publish: "text/var/set", auth.Subscribe: "text/var/secret", auth.Receive: "text/var/hidden"}
	s := start(t, broker.Config{Authorizer: r}, gw.Config{})
	c := s.device("lamp")
	c.does("START | COMMAND=PUB | VARIABLE=set | VALUE=1 | END", bad("not authorized"))
	c.does("START | COMMAND=DEL | VARIABLE=set | END", bad("not authorized"))
	c.does("START | COMMAND=SUB | VARIABLE=secret | END", bad("not authorized"))
	c.does("START | COMMAND=UNSUB | VARIABLE=secret | END", bad(`there is no subscription to "secret"`))
	c.does("START | COMMAND=SUB | VARIABLE=hidden | END", ok)
	c.does("START | COMMAND=PUB | VARIABLE=hidden | VALUE=1 | END", ok)
	c.does("START | COMMAND=PUB | VARIABLE=temp | VALUE=1 | END", ok)
}

func TestDeviceThatMayNotReceiveMessagesDoesTheRest(t *testing.T) {
	s := start(t, broker.Config{Authorizer: rights{auth.Subscribe: "text/dev/lamp/in"}}, gw.Config{})
	lamp, button := s.device("lamp"), s.device("button")
	lamp.does("START | COMMAND=PUB | VARIABLE=temp | VALUE=1 | END", ok)
	button.does("START | COMMAND=MSG | DEVICE=lamp | VALUE=on | END", bad("nobody receives what is sent to this device"))
}

func TestSubscriptionsAreLimited(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{MaxSubscriptions: 2})
	c := s.device("lamp")
	c.does("START | COMMAND=SUB | VARIABLE=a | END", ok)
	c.does("START | COMMAND=SUB | VARIABLE=b | END", ok)
	c.does("START | COMMAND=SUB | VARIABLE=c | END", bad("too many subscriptions"))
	c.does("START | COMMAND=SUB | VARIABLE=a | END", ok)
	c.does("START | COMMAND=UNSUB | VARIABLE=a | END", ok)
	c.does("START | COMMAND=SUB | VARIABLE=c | END", ok)
}

func TestQuotaOfVariables(t *testing.T) {
	s := start(t, broker.Config{MaxRetained: 1}, gw.Config{})
	c := s.device("lamp")
	c.does("START | COMMAND=PUB | VARIABLE=a | VALUE=1 | END", ok)
	c.does("START | COMMAND=PUB | VARIABLE=b | VALUE=1 | END", bad("quota exceeded"))
	c.does("START | COMMAND=DEL | VARIABLE=a | END", ok)
	c.does("START | COMMAND=PUB | VARIABLE=b | VALUE=1 | END", ok)
}

func TestLinesAreLimited(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{MaxLineBytes: 256})
	c, phone := s.device("lamp"), s.attach("phone")
	c.does("START | COMMAND=SUB | VARIABLE=temp | END", ok)
	before := s.b.Stats().Dropped()
	phone.publish("text/var/temp", strings.Repeat("x", 256-len("START | COMMAND=SUB | VARIABLE=temp | VALUE= | END\n")+1), false)
	phone.publish("text/var/temp", strings.Repeat("°", 40), false)
	if n := s.b.Stats().Dropped() - before; n != 2 {
		t.Errorf("%d values were dropped, want 2", n)
	}
	longest := strings.Repeat("x", 256-len("START | COMMAND=SUB | VARIABLE=temp | VALUE= | END\n"))
	phone.publish("text/var/temp", longest, false)
	c.reads("START | COMMAND=SUB | VARIABLE=temp | VALUE=" + longest + " | END")
	c.does("START | COMMAND=PUB | VARIABLE=temp2 | VALUE="+longest[:len(longest)-1]+" | END", ok)
	c.typed(strings.Repeat("x", 256)) // 257 with its end
	c.ended(closed("the line is longer than 256 bytes"))

	endless := s.dial()
	endless.typed("START | COMMAND=ID | ID=" + strings.Repeat("x", 1000))
	endless.ended(closed("the line is longer than 256 bytes"))
}

func TestReasonsCanBeHidden(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{HideReasons: true})
	c := s.device("lamp")
	c.does("nonsense", "START | COMMAND=BAD | END")
	c.does("START | COMMAND=PUB | VARIABLE=a/b | VALUE=1 | END", "START | COMMAND=BAD | END")
	s.device("lamp")
	c.ended("START | COMMAND=CLOSE | END")
}

func TestTopicPrefix(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{TopicPrefix: "site/7"})
	phone := s.attach("phone", "#")
	c := s.device("lamp")
	c.does("START | COMMAND=PUB | VARIABLE=temp | VALUE=1 | END", ok)
	phone.receives("site/7/var/temp", "1")
	phone.publish("site/7/dev/lamp/in", "on", false)
	c.reads("START | COMMAND=MSG | DEVICE=phone | VALUE=on | END")
}
