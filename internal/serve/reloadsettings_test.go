package serve_test

import (
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gwmqtt "github.com/iotctl/iotctl/internal/gateway/mqtt"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
)

// Clients who are there keep the terms that they were told in CONNACK.
func TestReloadChangesTheTermsOfClientsToCome(t *testing.T) {
	s := servetest.Start(t, nil)
	u := s.URLs()[0]
	was := mustConnect(t, u, "", nil)
	if restart := reload(t, s, func(c *serve.Config) {
		listeners(u)(c)
		c.Gateways = map[string]any{"mqtt": gwmqtt.Config{MaxPacketBytes: 1000}}
	}); len(restart) > 0 {
		t.Errorf("sections %q wait for a restart", restart)
	}
	is := mustConnect(t, u, "", nil)
	large := mqtt.Publish{Topic: []byte("t"), Payload: make([]byte, 2000)}
	is.send(large)
	if code := is.farewell(); code != mqtt.PacketTooLarge {
		t.Errorf("a client that came later: %v", code)
	}
	was.send(large)
	was.ping()
}
