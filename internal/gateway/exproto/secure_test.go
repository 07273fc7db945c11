package exproto_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/iotctl/iotctl/internal/gateway/exproto"
	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// dial connects a device by the listener's URL.
func (s *site) dial(t *testing.T, cfg *transport.ClientTLS) *device {
	t.Helper()
	nc, err := transport.Dial(t.Context(), s.url, transport.DialConfig{Schemes: exproto.Schemes(), TLS: cfg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return &device{t, nc}
}

func TestACertificateOfTheDeviceIsTold(t *testing.T) {
	for scheme, kind := range map[string]pb.SocketType{"exprotos": pb.SocketType_SSL, "exproto+dtls": pb.SocketType_DTLS} {
		t.Run(scheme, func(t *testing.T) {
			ca := transporttest.NewCA(t, "devices")
			s := start(t, options{url: scheme + "://127.0.0.1:0", listen: transport.ListenConfig{TLS: &transport.ServerTLS{
				Certificates: []tls.Certificate{ca.Server(t, nil, "127.0.0.1")},
				ClientAuth:   transport.ClientCertRequest, ClientCAs: ca.Pool(),
			}}})
			known := &transport.ClientTLS{RootCAs: ca.Pool(), Certificates: []tls.Certificate{ca.Client(t, nil, "meter-7")}}
			s.dial(t, known).send("x")
			e := s.h.wait(t, "created", 1)
			if e.info.Socktype != kind || e.info.Peercert.GetCn() != "meter-7" || e.info.Peercert.GetDn() != "CN=meter-7" {
				t.Errorf("%v", e.info)
			}
			s.dial(t, &transport.ClientTLS{RootCAs: ca.Pool()}).send("x")
			if e := s.h.wait(t, "created", 2); e.info.Socktype != kind || e.info.Peercert != nil {
				t.Errorf("%v", e.info)
			}
		})
	}
}

// Last words leave before the socket is closed, with TLS too.
func TestARefusalIsReadBeforeTheEnd(t *testing.T) {
	ca := transporttest.NewCA(t, "devices")
	s := start(t, options{
		url: "exprotos://127.0.0.1:0",
		listen: transport.ListenConfig{TLS: &transport.ServerTLS{
			Certificates: []tls.Certificate{ca.Server(t, nil, "127.0.0.1")},
		}},
		handler: &handler{do: func(h *handler, e told) error {
			if e.what == "bytes" {
				return errors.Join(h.send(e.conn, "you are not welcome"), h.close(e.conn))
			}
			return nil
		}},
	})
	d := s.dial(t, &transport.ClientTLS{RootCAs: ca.Pool()})
	d.send("hello")
	if words := d.closed(); words != "you are not welcome" {
		t.Errorf("told %q", words)
	}
}

func TestTheHandlerIsDialedWithTLSAndToken(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/token", "t0ken")
	ca := transporttest.NewCA(t, "handlers")
	tokens := make(chan []string, 10)
	server := credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{ca.Server(t, nil, "127.0.0.1")},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool(), MinVersion: tls.VersionTLS12,
	})
	cert, key := transporttest.WritePair(t, dir, ca.Client(t, nil, "gateway"))
	for name, h := range map[string]*handler{
		"ConnectionUnaryHandler": {options: []grpc.ServerOption{grpc.Creds(server), grpc.UnaryInterceptor(
			func(ctx context.Context, r any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
				md, _ := metadata.FromIncomingContext(ctx)
				tokens <- md.Get("authorization")
				return next(ctx, r)
			})}},
		"ConnectionHandler": {streams: true, options: []grpc.ServerOption{grpc.Creds(server), grpc.StreamInterceptor(
			func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
				md, _ := metadata.FromIncomingContext(s.Context())
				tokens <- md.Get("authorization")
				return next(srv, s)
			})}},
	} {
		t.Run(name, func(t *testing.T) {
			address := h.serve(t, "127.0.0.1:0")
			s := start(t, options{nobody: true, gateway: exproto.Config{Handler: exproto.HandlerConfig{
				Address: "https://" + address, Service: name,
				CAFile: exproto.File(ca.WriteFile(t)), CertFile: exproto.File(cert), KeyFile: exproto.File(key),
				TokenFile: exproto.File(dir + "/token"),
			}}})
			h.connect(t, s.g.AdapterURL())
			d := s.device()
			h.wait(t, "created", 1)
			if got := <-tokens; len(got) != 1 || got[0] != "Bearer t0ken" {
				t.Errorf("sent %q", got)
			}
			_ = d.nc.Close()
			h.wait(t, "closed", 1)
		})
	}
}

func TestAHandlerThatIsNotTrustedIsNotUsed(t *testing.T) {
	ca := transporttest.NewCA(t, "strangers")
	h := &handler{options: []grpc.ServerOption{grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{ca.Server(t, nil, "127.0.0.1")}, MinVersion: tls.VersionTLS12,
	}))}}
	address := "https://" + h.serve(t, "127.0.0.1:0")
	for limit := 200 * time.Millisecond; ; limit *= 2 {
		s := start(t, options{nobody: true, gateway: exproto.Config{Handler: exproto.HandlerConfig{
			Address: address, ConnectTimeout: limit,
		}}})
		s.device().closed()
		until(t, "the log tells", func() bool { return s.log.count("the handler fails") > 0 })
		if s.log.count("strangers") > 0 {
			return
		}
		if limit > patience { // else the handshake was not done within the limit
			t.Fatalf("the log does not say why:\n%s", s.log.String())
		}
	}
}

func TestTheAdapterWantsCertificates(t *testing.T) {
	dir := t.TempDir()
	ca := transporttest.NewCA(t, "handlers")
	cert, key := transporttest.WritePair(t, dir, ca.Server(t, nil, "127.0.0.1"))
	s := start(t, options{gateway: exproto.Config{Adapter: exproto.AdapterConfig{
		Address: "https://127.0.0.1:0", CertFile: exproto.File(cert), KeyFile: exproto.File(key), ClientCAFile: exproto.File(ca.WriteFile(t)),
	}}})
	for name, c := range map[string]struct {
		own  []tls.Certificate
		code codes.Code
	}{
		"with":    {[]tls.Certificate{ca.Client(t, nil, "handler")}, codes.OK},
		"without": {nil, codes.Unavailable},
	} {
		a := dialAdapter(t, s.g.AdapterURL(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
			RootCAs: ca.Pool(), Certificates: c.own, MinVersion: tls.VersionTLS12,
		})))
		if _, err := a.RawPublish(t.Context(), &pb.RawPublishRequest{Topic: "t"}); status.Code(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	until(t, "the log tells", func() bool { return s.log.count("the adapter refuses a connection") == 1 })
}

func TestDatagrams(t *testing.T) {
	const idle = 2 * time.Second
	s := start(t, options{
		url:     "exproto+udp://127.0.0.1:0",
		gateway: exproto.Config{IdleTimeout: idle, KeepaliveMultiplier: idle.Seconds()},
		handler: &handler{do: func(h *handler, e told) error {
			if e.bytes == "timer" {
				return errors.Join(h.startTimer(e.conn, 1), h.send(e.conn, "started"))
			}
			return nil
		}},
	})
	peer := func() *device { return s.dial(t, nil) }
	closed := func(d *device) string {
		port := uint32(d.nc.LocalAddr().(*net.UDPAddr).Port)
		for _, e := range s.h.all("") {
			if e.what == "created" && e.info.Peername.Port == port {
				for _, mine := range s.h.all(e.conn) {
					if mine.what == "closed" {
						return mine.reason
					}
				}
			}
		}
		return ""
	}
	// Each datagram begins the idle time-out of its own peer anew, and counts for
	// the timer of its own peer alone. Where this test was kept from sending for so
	// long that they could not have lived, it has shown nothing.
	for {
		quiet, talking, timed, silent := peer(), peer(), peer(), peer()
		quiet.send("one") // and no more
		if e := s.h.wait(t, "created", 1); e.info.Socktype != pb.SocketType_UDP {
			t.Errorf("%v", e.info)
		}
		timed.send("timer")
		silent.send("timer")
		timed.expect("started")
		silent.expect("started")
		sent, pause := time.Now(), time.Duration(0)
		until(t, "the peers that say nothing are gone", func() bool {
			talking.send("datagram")
			timed.send("datagram")
			now := time.Now()
			sent, pause = now, max(pause, now.Sub(sent))
			time.Sleep(idle / 50)
			return closed(quiet) != "" && closed(silent) != ""
		})
		if a, b := closed(quiet), closed(silent); a != "idle_timeout" || b != "keepalive_timeout" {
			t.Errorf("closed %s, %s", a, b)
		}
		a, b := closed(talking), closed(timed)
		if a == "" && b == "" {
			break
		}
		if pause < idle/4 {
			t.Fatalf("closed %q, %q, although they have never been silent for more than %v", a, b, pause)
		}
		t.Logf("silent for %v: once more", pause)
	}
	for _, e := range s.h.all("") {
		if e.what == "bytes" && e.bytes != "one" && e.bytes != "timer" && e.bytes != "datagram" {
			t.Errorf("%q is no datagram", e.bytes)
		}
	}
}

func TestDatagramsForASlowHandlerAreDroppedAndCounted(t *testing.T) {
	none := time.Duration(0)
	release := make(chan struct{})
	s := start(t, options{
		url: "exproto+udp://127.0.0.1:0", listen: transport.ListenConfig{QueueDatagrams: 4},
		gateway: exproto.Config{QueueBytes: 4 << 10, Handler: exproto.HandlerConfig{Timeout: &none}},
		handler: &handler{do: func(_ *handler, e told) error {
			if e.what == "bytes" {
				<-release
			}
			return nil
		}},
	})
	slow := s.dial(t, nil)
	until(t, "one is dropped", func() bool {
		slow.send(string(make([]byte, 1000)))
		return s.l.Counters().Dropped[transport.DroppedQueue] > 0
	})
	close(release)
	until(t, "they flow again", func() bool {
		slow.send("last")
		for _, e := range s.h.all("") {
			if e.bytes == "last" {
				return true
			}
		}
		return false
	})
}
