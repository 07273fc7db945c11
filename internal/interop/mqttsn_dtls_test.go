//go:build unix

package interop

import (
	"bufio"
	"bytes"
	"io"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// opensslDevice is a device of MQTT-SN whose DTLS is OpenSSL's. What it says are
// bytes, one record each.
type opensslDevice struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
}

func newOpenSSLDevice(t *testing.T, address string, args ...string) *opensslDevice {
	t.Helper()
	path := tool(t, "openssl")
	cmd := exec.CommandContext(t.Context(), path, append([]string{"s_client", "-dtls1_2", "-connect", address, "-quiet"}, args...)...)
	said := new(output)
	cmd.Stderr = said
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		stop.Stop()
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("openssl said:\n%s", said)
		}
	})
	return &opensslDevice{t, in, bufio.NewReader(out)}
}

// talk says a message, and wants the answer.
func (d *opensslDevice) talk(say, want string) {
	d.t.Helper()
	if _, err := d.in.Write(unhex(say)); err != nil {
		d.t.Fatal(err)
	}
	got := make([]byte, len(unhex(want)))
	if _, err := io.ReadFull(d.out, got); err != nil || !bytes.Equal(got, unhex(want)) {
		d.t.Fatalf("% x is answered by % x, %v; want %s", unhex(say), got, err, want)
	}
}

// converse connects as x, publishes to the short topic ab, and sleeps.
func (d *opensslDevice) converse(p *peer) {
	d.t.Helper()
	d.talk("07 04 04 01 00 3c 78", "03 05 00")
	d.talk("09 0c 22 61 62 00 01 68 69", "07 0d 61 62 00 01 00")
	p.receive("ab", "hi")
	d.talk("07 12 22 00 02 63 64", "08 13 20 63 64 00 02 00")
	d.talk("04 18 01 2c", "02 18")
	d.talk("03 16 78", "02 17")
}

func TestMQTTSNOverOpenSSLWithCertificate(t *testing.T) {
	g := newGrounds(t, map[string]string{"sns": "mqttsns://127.0.0.1:0"}, snConfig, nil)
	p := g.mqtt(t, "watcher", "#")
	newOpenSSLDevice(t, g.open["sns"], "-CAfile", filepath.Join(g.dir, "ca.pem"), "-verify_return_error").converse(p)
}

func TestMQTTSNOverOpenSSLWithPSK(t *testing.T) {
	const key = "00112233445566778899aabbccddeeff" // without a certificate there is no other way in
	g := newGrounds(t, map[string]string{"psk": "mqttsns://127.0.0.1:0 , tls: {psk_file: keys.psk}"}, snConfig, map[string]string{"keys.psk": "device-1:" + key + "\n"})
	p := g.mqtt(t, "watcher", "#")
	newOpenSSLDevice(t, g.open["psk"], "-psk", key, "-psk_identity", "device-1").converse(p)
}
