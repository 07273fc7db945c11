package passwordfile

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
)

// remember is how long a success spares the next login the hashing.
const remember = 30 * time.Second

// Config says where the file is.
type Config struct {
	// Path of the file. Required.
	Path string
	// Workers is how many passwords are hashed at a time. 0: twice the number
	// of processors. With argon2id each takes 46 MB.
	Workers int
	// QueueTimeout bounds the wait for a worker beside the caller's context.
	// 0: 10 s.
	QueueTimeout time.Duration
}

func (c Config) withDefaults() Config {
	if c.Workers == 0 {
		c.Workers = 2 * runtime.GOMAXPROCS(0)
	}
	if c.QueueTimeout == 0 {
		c.QueueTimeout = 10 * time.Second
	}
	return c
}

// Validate returns every problem, each with its name in the configuration.
func (c Config) Validate() error {
	var errs []error
	if c.Path == "" {
		errs = append(errs, errors.New("path: missing"))
	}
	if c.Workers < 0 {
		errs = append(errs, errors.New("workers: negative"))
	}
	if c.QueueTimeout < 0 {
		errs = append(errs, errors.New("queue_timeout: negative"))
	}
	return errors.Join(errs...)
}

// ErrBusy means that no worker became free in time.
var ErrBusy = errors.New("too many logins at a time")

// File authenticates by what its file said when it was last read without
// error.
type File struct {
	cfg     Config
	key     [32]byte      // of the hashes that are remembered and of the choice for unknown users
	workers chan struct{} // holds one token per password being hashed
	table   atomic.Pointer[table]
}

// entry is one user.
type entry struct {
	hash    *hash
	success atomic.Pointer[success]
}

// success remembers a right password.
type success struct {
	mac   [sha256.Size]byte
	until time.Time
}

// New reads the file.
func New(c Config) (*File, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	f := &File{cfg: c, workers: make(chan struct{}, c.Workers)}
	rand.Read(f.key[:]) // never fails
	return f, f.Reload()
}

// Reload reads the file again. With an error, which for a malformed file joins
// a *SyntaxError per line, all stays as it was. Passwords remembered are forgotten.
func (f *File) Reload() error {
	b, err := os.ReadFile(f.cfg.Path)
	if err != nil {
		return err
	}
	t, err := parse(f.cfg.Path, b)
	if err != nil {
		return err
	}
	f.table.Store(t)
	return nil
}

// Len is the number of users.
func (f *File) Len() int { return len(f.table.Load().list) }

// Concerns implements auth.Directory.
func (f *File) Concerns(c auth.Credentials) bool { return c.HasUsername && f.Knows(c.Username) }

// Knows implements auth.Directory.
func (f *File) Knows(user string) bool { return f.table.Load().users[user] != nil }

// Authenticate implements auth.Authenticator. It ignores clients that present
// neither user name nor password, and denies those that lack one of them. A
// password with NUL is denied: to PBKDF2 it is the same as without those at its
// end, and neither mosquitto_passwd nor Put writes any.
func (f *File) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	if !c.HasUsername && !c.HasPassword {
		return auth.Identity{}, auth.Ignore, nil
	}
	if !c.HasUsername || !c.HasPassword || len(c.Password) == 0 || bytes.IndexByte(c.Password, 0) >= 0 {
		return auth.Identity{}, auth.Deny, nil
	}
	right, err := f.check(ctx, c.Username, c.Password)
	if !right || err != nil {
		return auth.Identity{}, auth.Deny, err
	}
	return auth.Identity{
		Name: c.Username, Method: "password_file",
		ClientID: c.ClientID, Username: c.Username,
	}, auth.Allow, nil
}

// check does the same work whether or not there is such a user.
func (f *File) check(ctx context.Context, user string, password []byte) (bool, error) {
	t := f.table.Load()
	if len(t.list) == 0 {
		return false, nil
	}
	mac := f.mac(user, password)
	stranger := t.list[f.choose(user, len(t.list))]
	e, known := t.users[user]
	if !known {
		e = stranger
	}
	s := e.success.Load()
	if s == nil {
		s = new(success)
	}
	if hmac.Equal(s.mac[:], mac[:]) && known && time.Now().Before(s.until) {
		return true, nil
	}
	if err := f.acquire(ctx); err != nil {
		return false, fmt.Errorf("check a password: %w", err)
	}
	right := e.hash.matches(password)
	<-f.workers
	if !right || !known {
		return false, nil
	}
	e.success.Store(&success{mac: mac, until: time.Now().Add(remember)})
	return true, nil
}

// acquire waits for a worker.
func (f *File) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case f.workers <- struct{}{}:
		return nil
	default:
	}
	timeout := time.NewTimer(f.cfg.QueueTimeout)
	defer timeout.Stop()
	select {
	case f.workers <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	case <-timeout.C:
		return ErrBusy
	}
}

// mac identifies a login without keeping the password.
func (f *File) mac(user string, password []byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, f.key[:])
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(user)))
	h.Write(n[:])
	h.Write([]byte(user))
	h.Write(password)
	h.Sum(sum[:0])
	return sum
}

// choose picks the entry whose parameters an unknown user is checked with, so
// that a file of several kinds of hashes gives no name away.
func (f *File) choose(user string, n int) int {
	sum := f.mac(user, nil)
	return int(binary.BigEndian.Uint64(sum[:]) % uint64(n))
}
