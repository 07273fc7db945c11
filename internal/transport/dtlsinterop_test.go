package transport

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// openssl starts OpenSSL with its arguments, and ends it with the test.
func openssl(t *testing.T, args ...string) (in io.WriteCloser, out *bufio.Reader) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("IOTCTL_REQUIRE_TOOLS") == "1" {
			t.Fatal("openssl is not installed")
		}
		t.Skip("openssl is not installed")
	}
	cmd := exec.Command(path, args...)
	cmd.Stderr = t.Output()
	if in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		stop.Stop()
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return in, bufio.NewReader(pipe)
}

func TestOpenSSLClientOverDTLS(t *testing.T) {
	ca := newTestCA(t)
	ca.server.ClientAuth, ca.server.ClientCAs = ClientCertRequire, ca.Pool()
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
	cert, key := transporttest.WritePair(t, t.TempDir(), ca.Client(t, nil, "device-1"))
	in, out := openssl(t, "s_client", "-dtls1_2", "-connect", l.Addr().String(), "-quiet", "-CAfile", ca.WriteFile(t), "-verify_return_error", "-cert", cert, "-key", key)
	srv := next(t, conns)
	if err := srv.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := srv.Info().TLS.VerifiedChains[0][0].Subject.CommonName; got != "device-1" {
		t.Errorf("%q", got)
	}
	send(t, in, "from openssl\n")
	if got := receive(t, srv); got != "from openssl\n" {
		t.Errorf("%q", got)
	}
	send(t, srv, "to openssl\n")
	if got, err := out.ReadString('\n'); got != "to openssl\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestOpenSSLServerOverDTLS(t *testing.T) {
	ca := newTestCA(t)
	cert, key := transporttest.WritePair(t, t.TempDir(), ca.Server(t, nil, "127.0.0.1"))
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := pc.LocalAddr().String()
	_ = pc.Close()
	in, out := openssl(t, "s_server", "-dtls1_2", "-accept", address, "-quiet", "-cert", cert, "-key", key)
	var c Conn
	eventually(t, "openssl listens", func() bool {
		c, err = Dial(t.Context(), "exproto+dtls://"+address, DialConfig{Schemes: packetSchemes(), TLS: ca.client})
		return err == nil
	})
	defer c.Close()
	_ = c.SetDeadline(deadline())
	send(t, c, "to openssl\n")
	if got, err := out.ReadString('\n'); got != "to openssl\n" {
		t.Errorf("%q, %v", got, err)
	}
	send(t, in, "from openssl\n")
	if got := receive(t, c); got != "from openssl\n" {
		t.Errorf("%q", got)
	}
}
