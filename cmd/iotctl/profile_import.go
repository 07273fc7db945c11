package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/zalando/go-keyring"

	"github.com/iotctl/iotctl/internal/profile"
)

// importOptions is the command line of `iotctl profile import`.
type importOptions struct {
	file, name      string
	dryRun, force   bool
	passwordKeyring bool
}

// maxImport bounds the file: an export of MQTTX has all messages in it.
const maxImport = 256 << 20

func newProfileImport() *cobra.Command {
	o := &importOptions{}
	cmd := &cobra.Command{
		Use:   "import file",
		Short: "Make profiles of another program's settings",
		Long: `Reads the settings of another program, which it recognises by what is in them,
and makes profiles of them:

  mosquitto   default options of its clients (~/.config/mosquitto_pub and so on),
              and the bridges of a mosquitto.conf, each a profile
  MQTTX       what --save-options of its command line has written, JSON or YAML, a
              profile for each of conn, pub and sub; its ~/.mqttx-cli/config; and
              connections that its window has exported as JSON or YAML
  HiveMQ      ~/.mqtt-cli/config.properties of mqtt-cli

Every setting is listed with what has become of it, or why nothing has. Passwords
are not shown; they stand in the profile, which only its owner can read, or with
--keyring in the key ring.`,
		Example: `  iotctl profile import ~/.mqtt-cli/config.properties --dry-run
  iotctl profile import mqttx-cli-options.json --name plant
  iotctl profile import ~/.config/mosquitto_sub`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fail(exitUsage, errors.New("which file? one is wanted"), cmd.CommandPath()+" FILE")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = args[0]
			return runImport(newTerminal(cmd), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "what to call the profile (default: as the settings or the file are called)")
	f.BoolVar(&o.dryRun, "dry-run", false, "write nothing")
	f.BoolVar(&o.passwordKeyring, "keyring", false, "put passwords into the key ring")
	f.BoolVar(&o.force, "force", false, "replace profiles of the same name")
	return cmd
}

func runImport(t *terminal, o *importOptions) error {
	dir, err := profilePlace()
	if err != nil {
		return err
	}
	text, err := readImport(o.file)
	if err != nil {
		return err
	}
	kind, all, err := recogniseImport(o.importName(), filepath.Base(o.file), text)
	if err != nil {
		return fail(exitMalformed, fmt.Errorf("%s: %w", o.file, err), "iotctl profile import --help")
	}
	if o.name != "" {
		if err := profile.CheckName(o.name); err != nil {
			return fail(exitUsage, err)
		}
		if len(all) > 1 {
			return usagef("--name is for one profile, and there are %d", len(all))
		}
		all[0].Profile.Name = o.name
	}
	schema := profileSchema()
	var texts [][]byte
	for _, one := range all {
		text, err := o.check(dir, one, schema)
		if err != nil {
			return err
		}
		texts = append(texts, text)
	}
	fmt.Fprintf(t.out, "%s: %s\n", o.file, kind)
	for i, one := range all {
		if err := o.keep(dir, one, texts[i], schema); err != nil {
			return err
		}
		if err := writeImported(t.out, one, o.dryRun); err != nil {
			return err
		}
	}
	return nil
}

// importName is what a profile is called that its source does not name.
func (o *importOptions) importName() string {
	base := filepath.Base(o.file)
	if dir := filepath.Base(filepath.Dir(o.file)); base == "config.properties" || base == "config" {
		base = strings.TrimPrefix(dir, ".")
	}
	return profile.Name(strings.TrimSuffix(base, filepath.Ext(base)))
}

func readImport(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxImport+1))
	if err == nil && len(text) > maxImport {
		err = fmt.Errorf("%s: longer than %d bytes", name, maxImport)
	}
	return text, err
}

// recogniseImport tells whose settings they are. mosquitto's default options begin
// with a dash that is not a list of YAML.
func recogniseImport(name, base string, text []byte) (string, []profile.Imported, error) {
	var lines []string
	options := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if word := strings.TrimLeft(line, " "); word == "" || word[0] == '#' {
			continue
		}
		if len(lines) == 0 {
			options = len(line) > 1 && line[0] == '-' && line[1] != ' '
		}
		lines = append(lines, line)
	}
	if options {
		p := peerOfDefaults(base, lines)
		return fmt.Sprintf("default options of %s", peerCommand(p)), []profile.Imported{importPeer(name, p, lines)}, nil
	}
	return profile.Import(name, text)
}

// peerOfDefaults tells whose default options they are, by the name of the file or by
// options that one of them has alone.
func peerOfDefaults(base string, lines []string) program {
	for _, p := range []program{progPub, progSub, progRR} {
		if strings.Contains(base, peerCommand(p)) {
			return p
		}
	}
	for _, p := range []program{progSub, progPub, progRR} {
		unknown := func(line string) bool {
			word, _, _ := strings.Cut(line, " ")
			return findOption(optionsFor(p, true), word) == nil
		}
		if !slices.ContainsFunc(lines, unknown) {
			return p
		}
	}
	return progSub
}

// importPeer reads the default options of a client of mosquitto.
func importPeer(name string, p program, lines []string) profile.Imported {
	one := profile.Imported{Profile: &profile.Profile{Name: name}}
	peers, own, shared := optionsFor(p, true), optionsFor(p, false), inEveryProfile()
	for _, line := range lines {
		word, value, _ := strings.Cut(strings.TrimLeft(line, " "), " ")
		note := profile.Note{Key: word}
		there := findOption(peers, word)
		here := ownOption(own, there)
		switch {
		case there == nil:
			note.Why = peerCommand(p) + " has no such option"
		case here == nil:
			note.Why = "nothing here is like it"
		case strings.Contains(here.help, "not supported") || there.long == "psk" || there.long == "psk-identity":
			note.Why = "is not supported over TLS; see --cert and --key"
		case here.long == "property":
			note.Why = "mosquitto takes no properties from this file"
		default:
			setting := profile.Setting{Option: here.long, Value: value}
			if !slices.ContainsFunc(shared, func(o *option) bool { return o.long == here.long }) {
				setting.Command = p.String()
			}
			note.To = []profile.Setting{setting}
			one.Profile.Settings = append(one.Profile.Settings, setting)
		}
		one.Notes = append(one.Notes, note)
	}
	return one
}

// ownOption is what an option of mosquitto's client is here.
func ownOption(own []*option, there *option) *option {
	if there == nil {
		return nil
	}
	if there.long != "" {
		if o := findOption(own, "--"+there.long); o != nil {
			return o
		}
	}
	return findOption(own, "-"+there.short)
}

// check takes out of a profile what no client would accept, with a note on it, and
// returns its text.
func (o *importOptions) check(dir profile.Dir, one profile.Imported, schema *profile.Schema) ([]byte, error) {
	p := one.Profile
	if dir.Has(p.Name) && !o.force && !o.dryRun {
		return nil, fail(exitUsage, fmt.Errorf("there is a profile %q", p.Name), "--name NAME calls it something else, --force replaces it")
	}
	if _, err := dir.Load(p.Name, schema); o.dryRun && profile.CheckName(p.Name) != nil {
		return nil, err
	}
	p.Settings = slices.DeleteFunc(p.Settings, func(s profile.Setting) bool {
		why := unacceptable(s)
		if why == "" {
			return false
		}
		for i := range one.Notes {
			if slices.Contains(one.Notes[i].To, s) {
				one.Notes[i].To, one.Notes[i].Why = nil, why
			}
		}
		return true
	})
	return p.Text(schema)
}

// unacceptable says why a client would refuse a setting; "" if it would not.
func unacceptable(s profile.Setting) string {
	p := progPub | progSub
	if s.Command != "" {
		p, _ = programOf(s.Command)
	}
	o := findOption(optionsFor(p, false), "--"+s.Option)
	if o == nil {
		return "nothing here is like it"
	}
	value, err := o.oneWord(s.Value)
	if err == nil {
		err = o.set(newSettings(p, false), value)
	}
	if err == nil {
		return ""
	}
	if s.Secret() {
		return "is not as it should be"
	}
	return err.Error()
}

// keep writes a profile.
func (o *importOptions) keep(dir profile.Dir, one profile.Imported, text []byte, schema *profile.Schema) error {
	if o.dryRun {
		return nil
	}
	p := one.Profile
	for i, s := range p.Settings {
		if !o.passwordKeyring || s.Option != "pw" {
			continue
		}
		_, err := withKeyring(func() (string, error) { return "", keyring.Set(keyringService, p.Name, s.Value) })
		if err != nil {
			return err
		}
		p.Settings[i] = profile.Setting{Option: "password-keyring", Value: p.Name}
		if text, err = p.Text(schema); err != nil {
			return err
		}
	}
	return writeProfile(dir, p.Name, text)
}

// writeImported gives an account of one profile.
func writeImported(out io.Writer, one profile.Imported, dryRun bool) error {
	verb := "written"
	if dryRun {
		verb = "not written"
	}
	fmt.Fprintf(out, "\nprofile %s (%s)\n", one.Profile.Name, verb)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, n := range one.Notes {
		if len(n.To) == 0 {
			fmt.Fprintf(w, "  %s\tnot taken: %s\n", tamed([]byte(n.Key)), tamed([]byte(n.Why)))
		}
		for _, s := range n.To {
			what := "--" + s.Option
			if v := s.Masked(); v != "" {
				what += " " + v
			}
			if s.Command != "" {
				what += ", of " + s.Command
			}
			fmt.Fprintf(w, "  %s\t%s\n", tamed([]byte(n.Key)), tamed([]byte(what)))
		}
	}
	return w.Flush()
}
