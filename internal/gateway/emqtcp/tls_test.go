package emqtcp_test

import (
	"crypto/tls"
	"testing"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway/emqtcp"
	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// Test 13.
func TestTLS(t *testing.T) {
	ca := transporttest.NewCA(t, "test")
	l, err := transport.Listen(t.Context(), "emqtcps://127.0.0.1:0", transport.ListenConfig{
		Schemes: transport.EMQTCPSchemes(),
		TLS:     &transport.ServerTLS{Certificates: []tls.Certificate{ca.Server(t, nil, "127.0.0.1")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan *tls.ConnectionState, 1)
	s := serveOn(t, emqtcp.Config{Authenticator: gatewaytest.Answers(func(c auth.Credentials) (auth.Identity, auth.Verdict, error) {
		asked <- c.TLS
		return auth.Identity{Method: "test"}, auth.Allow, nil
	})}, broker.Config{}, l)
	o := s.observe("tcp/+/up")
	nc, err := tls.Dial("tcp", s.addr, &tls.Config{RootCAs: ca.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	d := device{t, nc}
	d.send("11 0007 3c 0004 61626364 30 0002 6869 40")
	d.wants(accepted + "50")
	o.wants("tcp/abcd/up hi")
	o.publish("tcp/abcd/dn", "ok")
	d.wants("30 0002 6f6b")
	if state := <-asked; state == nil || !state.HandshakeComplete {
		t.Error("the authenticator sees no TLS")
	}
	d.send("60")
	d.closed("")
}
