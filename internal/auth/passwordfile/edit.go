package passwordfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/iotctl/iotctl/internal/auth"
)

// ErrNoUser means that a file has no line for a user.
var ErrNoUser = errors.New("no such user")

// Put sets the password of user in the file at path, hashed with argon2id, or
// appends the user. A file that is not there is created, for its owner only.
// A malformed file is not touched. All other lines stay as they are, and
// readers find either the old or the new file whole. Two writers at a time are
// not kept apart: the later one wins.
func Put(path, user string, password []byte) error {
	if err := validateUser(user); err != nil {
		return err
	}
	switch {
	case len(password) == 0:
		return fmt.Errorf("user %q: the password is empty", user)
	case len(password) > 65535:
		return fmt.Errorf("user %q: the password is longer than 65535 bytes", user)
	case bytes.IndexByte(password, 0) >= 0:
		return fmt.Errorf("user %q: the password contains NUL", user)
	}
	return edit(path, true, func(all []string) ([]string, error) {
		line := user + ":" + newHash(password).String()
		if i := indexUser(all, user); i >= 0 {
			all[i] = line
			return all, nil
		}
		return append(all, line), nil
	})
}

// Delete takes user out of the file at path, in the manner of Put. Without
// such a user it returns ErrNoUser.
func Delete(path, user string) error {
	return edit(path, false, func(all []string) ([]string, error) {
		i := indexUser(all, user)
		if i < 0 {
			return nil, fmt.Errorf("%s: %w: %q", path, ErrNoUser, user)
		}
		return append(all[:i], all[i+1:]...), nil
	})
}

func indexUser(all []string, user string) int {
	for i, line := range all {
		if !strings.HasPrefix(line, "#") && strings.HasPrefix(line, user+":") {
			return i
		}
	}
	return -1
}

func edit(path string, create bool, change func([]string) ([]string, error)) error {
	b, err := os.ReadFile(path)
	var like fs.FileInfo
	switch {
	case err == nil:
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return err
		}
		if like, err = os.Stat(path); err != nil {
			return err
		}
	case !create || !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if _, err := parse(path, b); err != nil {
		return err
	}
	all, err := change(lines(b))
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, line := range all {
		text.WriteString(line + "\n")
	}
	return replace(path, like, text.String())
}

// replace gives the file a new text, with mode and owner of like; without one it
// is its owner's alone.
func replace(path string, like fs.FileInfo, text string) error {
	return auth.ReplaceFile(path, []byte(text), func(tmp *os.File) error {
		if like == nil {
			return nil
		}
		if err := keepOwner(tmp, like); err != nil {
			return err
		}
		return tmp.Chmod(like.Mode().Perm())
	})
}
