package mqttsn

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/transport"
)

// AUTH comes by a real association, whose key is that of a site.
func TestAuthOverDTLSOnTheNetwork(t *testing.T) {
	b, err := broker.New(context.Background(), broker.Config{SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(Config{Authenticator: &lock{}, AuthExtension: AuthExtension{Enabled: true}}, b)
	if err != nil {
		t.Fatal(err)
	}
	const key = "000102030405060708090a0b0c0d0e0f"
	file := filepath.Join(t.TempDir(), "psk")
	if err := os.WriteFile(file, []byte("site:"+key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l, err := transport.Listen(ctx, "mqttsns://127.0.0.1:0", transport.ListenConfig{
		Schemes: transport.MQTTSNSchemes(), TLS: &transport.ServerTLS{PSKFile: file},
	})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = g.Serve(ctx, l) })
	defer serving.Wait()
	defer cancel()

	for password, want := range map[string]mqttsn.ReturnCode{"secret": mqttsn.Accepted, "guess": mqttsn.NotSupported} {
		c, err := transport.Dial(ctx, l.URL(), transport.DialConfig{
			Schemes: transport.MQTTSNSchemes(), TLS: &transport.ClientTLS{PSKIdentity: "site", PSK: key},
		})
		if err != nil {
			t.Fatal(err)
		}
		buf, n := make([]byte, 100), 0
		for deadline := time.Now().Add(30 * time.Second); n == 0; { // what is lost is sent again
			for _, m := range []mqttsn.Message{connectAs("dev"), plain("anna", password)} {
				if _, err := c.Write(datagram(t, m)); err != nil {
					t.Fatal(err)
				}
			}
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			if n, err = c.Read(buf); err != nil && time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
		if m, _, err := mqttsn.Parse(buf[:n], mqttsn.Options{FromServer: true}); err != nil || m != mqttsn.Message(mqttsn.Connack{Code: want}) {
			t.Errorf("%q: %+v, %v", password, m, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
