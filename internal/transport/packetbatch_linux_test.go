package transport

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestPacketListenersGetTheirBuffer has to be allowed to pass the limit of the
// machine, or the limit has to be high enough.
func TestPacketListenersGetTheirBuffer(t *testing.T) {
	l := packets(t, "mqttsn://127.0.0.1:0", ListenConfig{}, false)
	raw, err := l.udp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	have, may := 0, false
	err = raw.Control(func(fd uintptr) {
		have, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
		may = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, DefaultPacketBuffer) == nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !may {
		t.Skip("only with CAP_NET_ADMIN")
	}
	if want := 2 * DefaultPacketBuffer; have != want { // the kernel doubles it
		t.Errorf("%d bytes, want %d", have, want)
	}
}
