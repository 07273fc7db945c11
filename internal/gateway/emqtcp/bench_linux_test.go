package emqtcp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
)

// What a device costs is measured on iotctl serve as it is built and started by
// everybody, so that nothing of the devices counts.

// process is a server.
type process struct {
	pid           int
	devices, mqtt string // addresses
}

const processConfig = `
listeners:
  - {url: "emqtcp://127.0.0.1:0", max_conn_rate: -1}
  - {url: "mqtt://127.0.0.1:0"}
store: {type: mem}
`

func startProcess(b *testing.B) process {
	b.Helper()
	dir := b.TempDir()
	program, ports, file := filepath.Join(dir, "iotctl"), filepath.Join(dir, "ports"), filepath.Join(dir, "c.yaml")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", program, "../../../cmd/iotctl").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	if err := os.WriteFile(file, []byte(processConfig), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), program, "serve", "-c", file, "--ports", ports)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	gatewaytest.Eventually(b, "server", func() bool { _, err := os.Stat(ports); return err == nil })
	list, err := os.ReadFile(ports)
	if err != nil {
		b.Fatal(err)
	}
	var all []struct{ Address string }
	if err := json.Unmarshal(list, &all); err != nil || len(all) != 2 {
		b.Fatal(string(list), err)
	}
	return process{pid: cmd.Process.Pid, devices: all[0].Address, mqtt: all[1].Address}
}

// stat is a field of /proc/PID/stat, as proc(5) numbers them.
func (p process) stat(t testing.TB, fields ...int) (sum int64) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	for _, f := range fields {
		n, err := strconv.ParseInt(all[f-3], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// cpu is what the server has used, in steps of 10 ms.
func (p process) cpu(t testing.TB) time.Duration {
	return time.Duration(p.stat(t, 14, 15)) * 10 * time.Millisecond
}

func (p process) resident(t testing.TB) int64 { return p.stat(t, 24) * int64(os.Getpagesize()) }

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

// BenchmarkUplink is a device that sends as fast as one MQTT subscriber receives.
// frames/cpu-s is what the server does in a second of one processor.
func BenchmarkUplink(b *testing.B) {
	for _, perWrite := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("frames-per-write=%d", perWrite), func(b *testing.B) { uplink(b, perWrite) })
	}
}

func uplink(b *testing.B, perWrite int) {
	p := startProcess(b)
	sub := dial(b, p.mqtt)
	defer sub.Close()
	subscribe(b, sub)
	d := device{b, dial(b, p.devices)}
	defer d.nc.Close()
	d.write(connectAs("dev", 0))
	d.wants(accepted)

	const window = 4000
	one := data(`{"t":25.5,"h":60,"battery":3.61}`)
	many := []byte(strings.Repeat(string(one), perWrite))
	total := (b.N + perWrite - 1) / perWrite * perWrite
	var received atomic.Int64
	moved := make(chan struct{}, 1)
	result := make(chan error, 1)
	before := p.cpu(b)
	b.SetBytes(int64(len(one)))
	b.ResetTimer()
	go func() { result <- countPublishes(sub, total, &received, moved) }()
	for sent := 0; sent < total; sent += perWrite {
		for sent-int(received.Load()) > window {
			<-moved
		}
		d.write(many)
	}
	if err := <-result; err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if used := p.cpu(b) - before; used > 0 {
		b.ReportMetric(float64(total)/used.Seconds(), "frames/cpu-s")
	}
}

func subscribe(t testing.TB, nc net.Conn) {
	t.Helper()
	var out []byte
	for _, p := range []mqtt.Packet{
		mqtt.Connect{CleanStart: true, ClientID: "sub"},
		mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "tcp/+/up"}}},
	} {
		var err error
		if out, err = p.Append(out, mqtt.V5); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := nc.Write(out); err != nil {
		t.Fatal(err)
	}
	r := make([]byte, 4096)
	for n := 0; ; { // CONNACK and SUBACK
		k, err := nc.Read(r[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += k
		if _, _, first, err := mqtt.Frame(r[:n], 0); err == nil {
			if _, _, _, err := mqtt.Frame(r[first:n], 0); err == nil {
				return
			}
		}
	}
}

// countPublishes reads until total PUBLISH packets have come.
func countPublishes(nc net.Conn, total int, received *atomic.Int64, moved chan<- struct{}) error {
	buf := make([]byte, 256<<10)
	have := 0
	for int(received.Load()) < total {
		_ = nc.SetReadDeadline(time.Now().Add(patience))
		n, err := nc.Read(buf[have:])
		if err != nil {
			return fmt.Errorf("after %d of %d: %w", received.Load(), total, err)
		}
		have += n
		at, count := 0, 0
		for {
			h, _, size, err := mqtt.Frame(buf[at:have], 0)
			if errors.Is(err, mqtt.ErrShort) {
				break
			}
			if err != nil || h.Type != mqtt.TypePublish {
				return fmt.Errorf("%v, %w", h.Type, err)
			}
			at, count = at+size, count+1
		}
		have = copy(buf, buf[at:have])
		received.Add(int64(count))
		select {
		case moved <- struct{}{}:
		default:
		}
	}
	return nil
}

// BenchmarkIdle is the memory of devices that are connected and silent, each with
// the subscription to its downlink topic. B/device is the growth of the server's
// resident memory, after it has had time to make room.
func BenchmarkIdle(b *testing.B) {
	const devices = 10_000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < devices+100 {
		b.Skipf("%d open files are allowed, %v", limit.Cur, err)
	}
	for b.Loop() {
		p := startProcess(b)
		before := p.resident(b)
		all := make([]net.Conn, devices)
		for i := range all {
			d := device{b, dial(b, p.devices)}
			d.write(connectAs(fmt.Sprintf("device-%05d", i), 240))
			d.wants(accepted)
			all[i] = d.nc
		}
		time.Sleep(15 * time.Second) // how long it has for that
		b.ReportMetric(float64(p.resident(b)-before)/devices, "B/device")
		for _, nc := range all {
			_ = nc.Close()
		}
	}
}
