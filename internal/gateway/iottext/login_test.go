package iottext_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/auth/pairing"
	"github.com/iotctl/iotctl/internal/broker"

	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
	gw "github.com/iotctl/iotctl/internal/gateway/iottext"
)

// gate answers as it is told, and remembers what it was asked.
type gate struct {
	mu      sync.Mutex
	verdict auth.Verdict
	err     error
	asked   []auth.Credentials
}

func (g *gate) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.Password = append([]byte(nil), c.Password...)
	g.asked = append(g.asked, c)
	return auth.Identity{Name: c.ClientID}, g.verdict, g.err
}

func (g *gate) set(v auth.Verdict, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.verdict, g.err = v, err
}

func (g *gate) questions() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.asked)
}

func TestCredentials(t *testing.T) {
	g := &gate{verdict: auth.Allow}
	s := start(t, broker.Config{}, gw.Config{Authenticator: g})
	s.device("lamp")
	s.device(`lamp2 | PASSWORD=\x7csecret\x20`)
	plain, secret := g.asked[0], g.asked[1]
	if plain.ClientID != "lamp" || plain.HasUsername || plain.HasPassword || plain.Protocol != "iottext" || plain.Listener != "typed" || plain.Remote == nil {
		t.Errorf("%+v", plain)
	}
	if secret.ClientID != "lamp2" || !secret.HasUsername || secret.Username != "lamp2" || !secret.HasPassword || string(secret.Password) != "|secret " {
		t.Errorf("%+v", secret)
	}
}

func TestRefusedDeviceMayTryAgainButNotForEver(t *testing.T) {
	g := &gate{verdict: auth.Deny}
	s := start(t, broker.Config{}, gw.Config{Authenticator: g})
	c := s.dial()
	c.does("START | COMMAND=ID | ID=lamp | END", bad("not authorized"))
	c.does("START | COMMAND=PUB | VARIABLE=temp | VALUE=1 | END", bad("say who you are first, with ID"))
	g.set(auth.Deny, errors.New("the list of users is on fire"))
	c.does("START | COMMAND=ID | ID=lamp | END", bad("not authorized"))
	c.typed("START | COMMAND=ID | ID=lamp | END")
	c.ended(bad("not authorized"), closed("too many refusals"))

	g.set(auth.Deny, nil)
	again := s.dial()
	again.does("START | COMMAND=ID | ID=lamp | END", bad("not authorized"))
	g.set(auth.Allow, nil)
	again.does("START | COMMAND=ID | ID=lamp | PASSWORD=right | END", ok)
}

func TestStrangersThatSpeakSomethingElseAreLetGo(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	c := s.dial()
	c.typed(strings.TrimSuffix(strings.Repeat("nonsense\n", 10), "\n"))
	for range 10 {
		c.reads(bad("a line begins with START and a bar"))
	}
	c.ended(closed("too much that is not understood"))
}

func TestOtherProtocolsAreToldWhereTheyAre(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for bytes, name := range map[string]string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n": "HTTP",
		"\x16\x03\x01\x02\x00\x01":          "TLS", // and no line feed
		"\x10\x10\x00\x04MQTT\x04":          "MQTT",
	} {
		c := s.dial()
		if _, err := io.WriteString(c.nc, bytes); err != nil {
			t.Fatal(err)
		}
		c.ended(closed("this is a port for text, and what came seems to be " + name))
	}
}

func TestPendingDeviceIsLetInWhenTheOperatorApproves(t *testing.T) {
	g := &gate{verdict: auth.Deny, err: &auth.Pending{Code: "48-21"}}
	for _, hide := range []bool{false, true} {
		g.set(auth.Deny, &auth.Pending{Code: "48-21"})
		s := start(t, broker.Config{}, gw.Config{Authenticator: g, ApprovalInterval: 10 * time.Millisecond, HideReasons: hide})
		c := s.dial()
		c.does("START | COMMAND=ID | ID=lamp | PASSWORD=x | END", bad("pending approval, code 48-21"))
		before := g.questions()
		gatewaytest.Eventually(t, "the operator is asked again", func() bool { return g.questions() > before+3 })
		g.set(auth.Deny, &auth.Pending{Code: "11-22"})
		c.reads(bad("pending approval, code 11-22"))
		g.set(auth.Allow, nil)
		c.reads(ok)
		c.does("START | COMMAND=PUB | VARIABLE=temp | VALUE=1 | END", ok)
		after := g.questions()
		c.does("START | COMMAND=HELLO! | END", ok)
		if g.questions() != after {
			t.Error("the operator is asked about a device that is connected")
		}
	}
}

func TestPendingDeviceThatIsRejected(t *testing.T) {
	g := &gate{verdict: auth.Deny, err: &auth.Pending{Code: "48-21"}}
	s := start(t, broker.Config{}, gw.Config{Authenticator: g, ApprovalInterval: 10 * time.Millisecond})
	c := s.dial()
	c.does("START | COMMAND=ID | ID=lamp | END", bad("pending approval, code 48-21"))
	g.set(auth.Deny, nil)
	c.reads(bad("not authorized"))
	c.does("START | COMMAND=HELLO! | END", ok)
	if n := g.questions(); n < 2 {
		t.Errorf("asked %d times", n)
	}
}

func TestPatienceWithPendingDevicesIsLimited(t *testing.T) {
	g := &gate{verdict: auth.Deny, err: &auth.Pending{Code: "48-21"}}
	s := start(t, broker.Config{}, gw.Config{
		Authenticator: g, ApprovalInterval: time.Hour, ApprovalTimeout: 50 * time.Millisecond, ConnectTimeout: time.Hour,
	})
	c := s.dial()
	c.does("START | COMMAND=ID | ID=lamp | END", bad("pending approval, code 48-21"))
	c.ended(closed("no ID was accepted in time"))
}

// TestPairing goes through it with the method itself.
func TestPairing(t *testing.T) {
	p, err := pairing.New(pairing.Config{})
	if err != nil {
		t.Fatal(err)
	}
	p.TakeOver(nil, func(string) bool { return false })
	s := start(t, broker.Config{}, gw.Config{Authenticator: p, ApprovalInterval: 10 * time.Millisecond})
	c := s.dial()
	c.typed("START | COMMAND=ID | ID=lamp | PASSWORD=made-at-first-start | END")
	list := func() []pairing.Entry { return p.List(0, 10) }
	gatewaytest.Eventually(t, "the request is listed", func() bool { return len(list()) == 1 })
	e := list()[0]
	c.reads(bad("pending approval, code " + e.Code))
	if _, err := p.Approve(e.Code, pairing.Approval{}); err != nil {
		t.Fatal(err)
	}
	c.reads(ok)
	s.device("lamp | PASSWORD=made-at-first-start")
	thief := s.dial()
	thief.typed("START | COMMAND=ID | ID=lamp | PASSWORD=guessed | END")
	if answer := thief.line(); answer == ok {
		t.Error("another secret was let in")
	}
}

func TestSilentStrangerIsLetGo(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{ConnectTimeout: 50 * time.Millisecond})
	c := s.dial()
	c.ended(closed("no ID was accepted in time"))
}

func TestIDOfAnotherUserIsRefused(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{ShareClientRegistry: true})
	s.attach("lamp") // anonymous
	c := s.dial()
	c.does("START | COMMAND=ID | ID=lamp | PASSWORD=x | END", bad("this id belongs to another user"))
	c.does("START | COMMAND=ID | ID=lamp2 | PASSWORD=x | END", ok)
}
