package exproto_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"

	"github.com/iotctl/iotctl/internal/gateway/exproto"
	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
)

// python is the system's, which packages of the distribution belong to.
const python = "/usr/bin/python3"

func needGRPC(t *testing.T) {
	t.Helper()
	out, err := exec.Command(python, "-c", "import grpc, google.protobuf").CombinedOutput()
	switch {
	case err == nil:
	case os.Getenv("IOTCTL_REQUIRE_TOOLS") == "1":
		t.Fatalf("%s has no grpcio or protobuf: %v: %s", python, err, out)
	default:
		t.Skipf("%s has no grpcio or protobuf (Debian: python3-grpcio, python3-protobuf)", python)
	}
}

// pythonHandler runs testdata/handler.py.
type pythonHandler struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
}

func startPython(t *testing.T, shape string) (h *pythonHandler, address string) {
	t.Helper()
	descriptors, err := proto.Marshal(protodesc.ToFileDescriptorProto(pb.File_exproto_proto))
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/exproto.bin"
	write(t, file, string(descriptors))
	h = &pythonHandler{cmd: exec.Command(python, "testdata/handler.py", file, shape)}
	h.cmd.Stderr = os.Stderr
	if h.stdin, err = h.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = h.stdin.Close()
		timer := time.AfterFunc(patience, func() { _ = h.cmd.Process.Kill() })
		defer timer.Stop()
		if err := h.cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	h.lines = bufio.NewScanner(out)
	return h, "http://127.0.0.1:" + h.line(t)
}

func (h *pythonHandler) line(t *testing.T) string {
	t.Helper()
	if !h.lines.Scan() {
		t.Fatalf("the handler has ended: %v", h.lines.Err())
	}
	return h.lines.Text()
}

// Handlers in other languages are the point: this one shares no line with us.
func TestPythonHandler(t *testing.T) {
	needGRPC(t)
	for shape, c := range map[string]exproto.HandlerConfig{
		"unary":  {},
		"stream": {Service: "ConnectionHandler"},
	} {
		t.Run(shape, func(t *testing.T) {
			h, address := startPython(t, shape)
			c.Address = address
			s := start(t, options{nobody: true, gateway: exproto.Config{Handler: c}})
			if _, err := fmt.Fprintln(h.stdin, hostOf(t, s.g.AdapterURL())); err != nil {
				t.Fatal(err)
			}
			if line := h.line(t); line != "ready" {
				t.Fatal(line)
			}
			w := s.watch("test/echo")
			d := s.device()
			for i := range 100 {
				line := fmt.Sprintf("line %d\r\n", i)
				d.send(line)
				d.expect(line)
				w.expect(t, "test/echo", line)
			}
			for i := range 300 {
				s.publish("test/echo", fmt.Sprintf("%03d,", i), 1)
			}
			var all strings.Builder
			for i := range 300 {
				fmt.Fprintf(&all, "%03d,", i)
			}
			d.expect(all.String())
			second := s.device() // of the same client identifier
			d.closed()
			if line := h.line(t); line != "closed taken_over" {
				t.Error(line)
			}
			second.send("x")
			second.expect("x")
			_ = second.nc.Close()
			if line := h.line(t); line != "closed peer_closed" {
				t.Error(line)
			}
		})
	}
}
