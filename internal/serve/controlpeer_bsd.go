//go:build darwin || freebsd

package serve

import "golang.org/x/sys/unix"

func peerUser(fd int) (int, error) {
	const solLocal = 0 // SOL_LOCAL
	c, err := unix.GetsockoptXucred(fd, solLocal, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(c.Uid), nil
}
