package serve_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
)

// inherited is a socket that somebody else has opened.
func inherited(t *testing.T, name, addr string) transport.Inherited {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return transport.Inherited{Name: name, Listener: l}
}

func TestInheritedSocketsAreFoundByNameAndAddress(t *testing.T) {
	named, addressed := inherited(t, "plain", "127.0.0.1:0"), inherited(t, "", "127.0.0.1:0")
	s := servetest.Start(t, func(c *serve.Config) {
		listeners("mqtt://127.0.0.1:1", "ws://"+addressed.Addr().String(), "mqtt://127.0.0.1:0")(c)
		c.Listeners[0].Name = "plain" // its address is not opened: nobody may, with port 1
		c.Inherited = []transport.Inherited{addressed, named}
	})
	want := []string{"mqtt://" + named.Addr().String(), "ws://" + addressed.Addr().String() + "/mqtt"}
	for i, u := range want {
		if got := s.URLs()[i]; got != u {
			t.Errorf("URL %q, want %q", got, u)
		}
	}
	c := mustConnect(t, want[0], "", nil)
	c.ping()
	// They are still the same listeners after a reload.
	next := serve.Config{Builtin: servetest.Builtin()}
	listeners("mqtt://127.0.0.1:1")(&next)
	next.Listeners[0].Name = "plain"
	if _, err := s.Reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if got := s.URLs(); len(got) != 1 || got[0] != want[0] {
		t.Errorf("URLs after the reload %q", got)
	}
	c.ping()
}

func TestInheritedSocketsThatDoNotFit(t *testing.T) {
	for name, tt := range map[string]struct {
		socket transport.Inherited
		want   string
	}{
		"nobody's": {inherited(t, "other", "127.0.0.1:0"), `the inherited socket "other" at 127.0.0.1:`},
		"exposed":  {inherited(t, "plain", "0.0.0.0:0"), "other machines can reach this listener"},
	} {
		c := serve.Config{Builtin: servetest.Builtin(), Inherited: []transport.Inherited{tt.socket}}
		listeners("mqtt://127.0.0.1:0")(&c)
		c.Listeners[0].Name = "plain"
		_, err := serve.Start(t.Context(), c)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		var exposed *serve.ExposedError
		if name == "exposed" && !errors.As(err, &exposed) {
			t.Errorf("%s: %T", name, err)
		}
	}
}
