package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/zalando/go-keyring"

	"github.com/iotctl/iotctl/internal/profile"
)

func newProfileSetPassword() *cobra.Command {
	var plain bool
	cmd := &cobra.Command{
		Use:   "set-password name",
		Short: "Put the password of a profile into the key ring",
		Long: `Asks for the password of a profile, or reads it from the first line of standard
input if that is no terminal, and puts it into the key ring: the secret service
of a desktop (GNOME Keyring, KWallet), the keychain of macOS, the credential
manager of Windows. In the profile stands where it is:  password: {keyring: NAME}

On a machine without a key ring --plain writes the password into the profile,
which only its owner can read, and --password-command in iotctl profile add runs
a program that knows it.`,
		Example: `  iotctl profile set-password plant
  pass show mqtt/plant | iotctl profile set-password plant`,
		Args:              oneProfile,
		ValidArgsFunction: completeProfile,
		RunE: func(cmd *cobra.Command, args []string) error {
			return setProfilePassword(newTerminal(cmd), args[0], plain)
		},
	}
	cmd.Flags().BoolVar(&plain, "plain", false, "write it into the profile")
	return cmd
}

func setProfilePassword(t *terminal, name string, plain bool) error {
	dir, err := profilePlace()
	if err != nil {
		return err
	}
	p, err := dir.Load(name, profileSchema())
	if exposed := (*profile.ExposedError)(nil); err != nil && !errors.As(err, &exposed) { // the file is replaced by one that is not
		return failProfile(err)
	}
	text, err := os.ReadFile(dir.Path(name))
	if err != nil {
		return err
	}
	pw, err := newPassword(t, p)
	if err != nil {
		return err
	}
	setting := profile.Setting{Option: "pw", Value: pw}
	if !plain {
		_, err := withKeyring(func() (string, error) { return "", keyring.Set(keyringService, name, pw) })
		if err != nil {
			return err
		}
		setting = profile.Setting{Option: "password-keyring", Value: name}
	}
	if text, err = profile.SetPassword(text, setting); err != nil {
		return err
	}
	return writeProfile(dir, name, text)
}

// newPassword asks for one, or reads it from a pipe.
func newPassword(t *terminal, p *profile.Profile) (string, error) {
	var pw string
	var err error
	if t.inTTY {
		var user *string
		for i := range settingsOf(p) {
			if p.Settings[i].Option == "username" {
				user = &p.Settings[i].Value
			}
		}
		pw, err = askPassword(t, user)
	} else {
		pw, err = bufio.NewReader(io.LimitReader(t.in, maxPassword+2)).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		pw = strings.TrimRight(pw, "\r\n")
	}
	switch {
	case err != nil:
		return "", err
	case pw == "":
		return "", fail(exitUsage, errors.New("the password is empty"))
	case len(pw) > maxPassword:
		return "", fail(exitUsage, fmt.Errorf("the password is longer than %d bytes", maxPassword))
	}
	return pw, nil
}

func settingsOf(p *profile.Profile) []profile.Setting {
	if p == nil {
		return nil
	}
	return p.Settings
}
