//go:build unix

package transport

import (
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
)

func TestActivationIsForThisProcessOnly(t *testing.T) {
	got, err := Activation(func(k string) string {
		return map[string]string{"LISTEN_PID": "1", "LISTEN_FDS": "1"}[k]
	})
	if got != nil || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// TestActivation hands a socket to another process as systemd does, and the
// other process serves one connection of it.
func TestActivation(t *testing.T) {
	if os.Getenv("LISTEN_PID") != "" {
		serveInherited(t)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" -test.run='^TestActivation$'`, os.Args[0])
	cmd.ExtraFiles = []*os.File{f} // descriptor 3
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=front")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := Dial(t.Context(), "mqtt://"+l.Addr().String(), DialConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(deadline())
	if b, err := io.ReadAll(c); string(b) != "front" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func serveInherited(t *testing.T) {
	all, err := Activation(os.Getenv)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	l, err := NewListener(all[0].Listener, "mqtt://127.0.0.1", ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, all[0].Name)
	_ = c.Close()
}
