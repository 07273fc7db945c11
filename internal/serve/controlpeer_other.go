//go:build !linux && !darwin && !freebsd

package serve

func peerUser(int) (int, error) { return 0, errNoPeer }
