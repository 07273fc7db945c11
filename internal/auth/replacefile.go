package auth

import (
	"os"
	"path/filepath"
)

// ReplaceFile gives a file that a method keeps a new text: it writes beside the
// file and renames, which is all or nothing. The new file is its owner's alone,
// unless prepare, if not nil, changes that; it is called before the text is
// synced to disk.
func ReplaceFile(name string, text []byte, prepare func(*os.File) error) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
		}
	}()
	if _, err = tmp.Write(text); err != nil {
		return err
	}
	if prepare != nil {
		if err = prepare(tmp); err != nil {
			return err
		}
	}
	if err = tmp.Sync(); err != nil {
		return err
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}
