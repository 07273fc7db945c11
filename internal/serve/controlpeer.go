package serve

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// errNoPeer: this system does not tell who is at the other end of a socket.
var errNoPeer = errors.New("peer unknown")

// checkPeer refuses everybody but this process's user and root.
func checkPeer(nc *net.UnixConn) error {
	raw, err := nc.SyscallConn()
	if err != nil {
		return err
	}
	uid := -1
	var peerErr error
	if err := raw.Control(func(fd uintptr) { uid, peerErr = peerUser(int(fd)) }); err != nil {
		return err
	}
	switch {
	case errors.Is(peerErr, errNoPeer): // the mode of the file has to do
		return nil
	case peerErr != nil:
		return fmt.Errorf("who asks cannot be told: %w", peerErr)
	case uid != 0 && uid != os.Geteuid():
		return fmt.Errorf("user %d may not ask the broker of user %d", uid, os.Geteuid())
	}
	return nil
}
