package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/iotctl/iotctl/internal/profile"
)

// passwordPatience bounds how long a program or the key ring may take: somebody may
// have to unlock something first.
const passwordPatience = time.Minute

// keyringService is what our entries in the key ring belong to.
const keyringService = "iotctl"

// commandWords splits the value of --password-command.
func commandWords(v string) ([]string, error) {
	words, err := profile.Split(v)
	if err == nil && len(words) == 0 {
		err = errors.New("names no program")
	}
	return words, err
}

// commandPassword runs a program, without a shell, for the first line of its output.
// Its errors are for the user to see, and it reads nothing from us.
func commandPassword(t *terminal, command string) (string, error) {
	words, err := commandWords(command)
	if err != nil {
		return "", fail(exitUsage, fmt.Errorf("--password-command: %w", err))
	}
	ctx, cancel := context.WithTimeout(context.Background(), passwordPatience)
	defer cancel()
	out := &firstLine{}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr = out, t.err
	cmd.WaitDelay = time.Second // what it has started may keep the pipe open
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return "", fail(exitFailed, fmt.Errorf("password command %q: no answer within %s", words[0], passwordPatience))
	case out.tooLong:
		return "", fail(exitFailed, fmt.Errorf("password command %q: the first line is longer than %d bytes", words[0], maxPassword))
	case errors.Is(err, exec.ErrNotFound):
		return "", fail(exitFailed, fmt.Errorf("password command %q: there is no such program", words[0]),
			"no shell is involved; with one:  --password-command \"sh -c '…'\"")
	case err != nil && !(out.complete && errors.Is(err, exec.ErrWaitDelay)):
		return "", fail(exitFailed, fmt.Errorf("password command %q: %w", words[0], err))
	case out.line.Len() == 0:
		return "", fail(exitFailed, fmt.Errorf("password command %q: it printed no password", words[0]))
	}
	return strings.TrimSuffix(out.line.String(), "\r"), nil
}

// firstLine keeps the first line of what is written to it, up to maxPassword bytes.
type firstLine struct {
	line              bytes.Buffer
	complete, tooLong bool
}

func (f *firstLine) Write(p []byte) (int, error) {
	if f.complete || f.tooLong {
		return len(p), nil
	}
	line, _, ends := bytes.Cut(p, []byte("\n"))
	if f.line.Len()+len(line) > maxPassword+1 { // a carriage return may be the last
		f.tooLong = true
		return 0, errors.New("too long")
	}
	f.line.Write(line)
	f.complete = ends
	return len(p), nil
}

// keyringPassword asks the operating system, by go-keyring: it has the key rings of
// Linux, macOS and Windows, without cgo.
func keyringPassword(entry string) (string, error) {
	pw, err := withKeyring(func() (string, error) { return keyring.Get(keyringService, entry) })
	if errors.Is(err, keyring.ErrNotFound) {
		return "", fail(exitFailed, fmt.Errorf("the key ring has no password %q", entry), "iotctl profile set-password "+entry)
	}
	return pw, err
}

// withKeyring calls f, which may wait for somebody who unlocks the key ring, but not
// for ever. Errors: keyring.ErrNotFound, or one with hints.
func withKeyring(f func() (string, error)) (string, error) {
	if !keyringReachable() {
		return "", failKeyring(errors.New("no session bus (D-Bus) is running, and so no secret service"))
	}
	type answer struct {
		password string
		err      error
	}
	answered := make(chan answer, 1) // the call cannot be taken back: it ends with the process at the latest
	go func() {
		pw, err := f()
		answered <- answer{pw, err}
	}()
	timer := time.NewTimer(passwordPatience)
	defer timer.Stop()
	select {
	case a := <-answered:
		if a.err != nil && !errors.Is(a.err, keyring.ErrNotFound) {
			return "", failKeyring(a.err)
		}
		return a.password, a.err
	case <-timer.C:
		return "", failKeyring(fmt.Errorf("no answer within %s", passwordPatience))
	}
}

func failKeyring(err error) error {
	return fail(exitFailed, fmt.Errorf("key ring: %w", err),
		"without a key ring:  --password-command 'pass show mqtt', --password-file FILE, or iotctl profile set-password NAME --plain")
}

// keyringReachable tells whether it makes sense to ask. Where there is no bus, the
// library would start one, with nothing on it.
func keyringReachable() bool {
	switch runtime.GOOS {
	case "windows", "darwin":
		return true
	}
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return true
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		dir = fmt.Sprintf("/run/user/%d", os.Getuid())
	}
	for _, name := range []string{"bus", "dbus-session"} {
		if _, err := os.Stat(dir + "/" + name); err == nil {
			return true
		}
	}
	return false
}
