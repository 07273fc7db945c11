package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// maxPassword is what fits into CONNECT.
const maxPassword = 65535

// setPassword says what the password is, or where; all but one of the arguments are
// empty, and what was said before counts no more.
func (s *settings) setPassword(pw *string, file, command, entry string) {
	s.password, s.passwordFile, s.passwordCommand, s.passwordKeyring = pw, file, command, entry
}

// loadPassword finds the password that --password-file, --password-command,
// --password-keyring or --ask-password promise.
func (s *settings) loadPassword(t *terminal) error {
	switch {
	case s.passwordFile != "":
		pw, err := readPassword(s.passwordFile)
		if err != nil {
			return fail(exitFailed, fmt.Errorf("password file: %w", err))
		}
		s.password = &pw
	case s.passwordCommand != "":
		pw, err := commandPassword(t, s.passwordCommand)
		if err != nil {
			return err
		}
		s.password = &pw
	case s.passwordKeyring != "":
		pw, err := keyringPassword(s.passwordKeyring)
		if err != nil {
			return err
		}
		s.password = &pw
	case s.askPassword:
		pw, err := askPassword(t, s.username)
		if err != nil {
			return err
		}
		s.password = &pw
	}
	return nil
}

// readPassword takes the first line of a file without its end.
func readPassword(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxPassword+2))
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(content), "\n")
	line = strings.TrimSuffix(line, "\r")
	if len(line) > maxPassword {
		return "", fmt.Errorf("%s: the first line is longer than %d bytes", path, maxPassword)
	}
	return line, nil
}

func askPassword(t *terminal, user *string) (string, error) {
	f, ok := t.in.(*os.File)
	if !ok || !t.inTTY {
		return "", fail(exitUsage, errors.New("cannot ask for a password: standard input is not a terminal"),
			"use --password-file or --password-command, or set IOTCTL_PASSWORD")
	}
	prompt := "Password: "
	if user != nil {
		prompt = fmt.Sprintf("Password for %q: ", *user)
	}
	fmt.Fprint(t.err, prompt)
	pw, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(t.err)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	return string(pw), nil
}
