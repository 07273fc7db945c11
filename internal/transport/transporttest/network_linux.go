package transporttest

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// InNetwork runs a test in another process, which has a network of its own: lo,
// and v0 that is connected to v1, all capable of multicast.
func InNetwork(t *testing.T, run func(t *testing.T)) {
	t.Helper()
	const is = "IOTCTL_TEST_NETWORK"
	if os.Getenv(is) == t.Name() {
		run(t)
		return
	}
	ip, err := exec.LookPath("ip")
	switch {
	case err == nil:
	case os.Getenv("IOTCTL_REQUIRE_TOOLS") == "1":
		t.Fatal("ip is not installed")
	default:
		t.Skip("ip is not installed")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := `set -e
ip() { "$IP" "$@"; }
ip link set lo up multicast on
ip route add 224.0.0.0/4 dev lo
ip -6 route add local ff00::/8 dev lo table local
ip link add v0 type veth peer name v1
ip address add 10.9.0.1/24 dev v0
ip address add 10.9.1.1/24 dev v1
ip -6 address add fd00:9::1/64 dev v0 nodad
ip -6 address add fd00:9:1::1/64 dev v1 nodad
ip link set v0 up
ip link set v1 up
for v in v0 v1; do # the kernel takes its time
	for try in $(seq 500); do
		ip -6 route show table local | grep -q "^multicast ff00::/8 dev $v " && break
		sleep 0.01
	done
done
exec "$@"`
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script, "sh", self, "-test.v", "-test.timeout=4m", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), is+"="+t.Name(), "IP="+ip)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	switch {
	case !strings.Contains(string(out), "=== RUN"):
		t.Skipf("this machine gives a test no network of its own: %v %s", err, out)
	case err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Errorf("%v\n%s", err, out)
	}
}
