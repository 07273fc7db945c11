//go:build unix

package passwordfile

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives f the owner and group of like, so that root can edit the file
// of a server that runs as somebody else.
func keepOwner(f *os.File, like fs.FileInfo) error {
	want, ok := like.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	is, err := f.Stat()
	if err != nil {
		return err
	}
	if is, ok := is.Sys().(*syscall.Stat_t); ok && is.Uid == want.Uid && is.Gid == want.Gid {
		return nil
	}
	return f.Chown(int(want.Uid), int(want.Gid))
}
