package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/zalando/go-keyring"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/profile"
)

func newProfile() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "profile list|show|add|edit|remove|use|test|set-password|import",
		Short: "Keep the options for a broker under a name",
		Long: `A profile is a file with options for one broker: where it is, as whom to connect,
what its payloads are. --profile NAME, or IOTCTL_PROFILE, uses it in pub, sub and
all the other clients, and in bench. See iotctl help profiles for what can stand
in one.

Profiles are files in iotctl/profiles in $XDG_CONFIG_HOME or ~/.config, one for
each; the commands below are for those who would rather not write them by hand.`,
		Example: `  iotctl profile add plant mqtts://broker.example -u dashboard --cafile plant.pem
  iotctl profile set-password plant
  iotctl sub --profile plant -t 'sensors/#'`,
		GroupID: groupClient,
		Args:    oneOfItsCommands,

		SuggestionsMinimumDistance: 2,
		RunE:                       func(*cobra.Command, []string) error { return nil }, // Args lets nothing through
	}
	cmd.AddCommand(newProfileList(), newProfileShow(), newProfileAdd(), newProfileEdit(), newProfileRemove(),
		newProfileUse(), newProfileTest(), newProfileSetPassword(), newProfileImport())
	return cmd
}

// oneProfile wants the name of one.
func oneProfile(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return fail(exitUsage, errors.New("which profile? one name is wanted"), "iotctl profile list", cmd.CommandPath()+" NAME")
}

// profilePlace is the directory of profiles.
func profilePlace() (profile.Dir, error) {
	dir := profileDir()
	if dir == "" {
		return "", fail(exitUsage, errors.New("where are the profiles? neither XDG_CONFIG_HOME nor HOME is set"))
	}
	return dir, nil
}

// writeProfile puts a text into the file of a profile, all or nothing; only its owner
// can read it.
func writeProfile(dir profile.Dir, name string, text []byte) error {
	if err := os.MkdirAll(string(dir), 0o700); err != nil {
		return err
	}
	path := dir.Path(name)
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return auth.ReplaceFile(path, text, nil)
}

func newProfileList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the profiles",
		Long:    "Lists the profiles with their brokers. A star marks the one that is used when\nnone is named on the command line.",
		Example: "  iotctl profile list",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows, err := profileRows()
			if err != nil {
				return err
			}
			return writeProfileRows(newTerminal(cmd), rows, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// profileRow is a line of `iotctl profile list`.
type profileRow struct {
	Name    string `json:"name"`
	Broker  string `json:"broker,omitempty"`
	About   string `json:"about,omitempty"`
	Extends string `json:"extends,omitempty"`
	Used    bool   `json:"used"` // when none is named
	Problem string `json:"problem,omitempty"`
}

func profileRows() ([]profileRow, error) {
	dir, err := profilePlace()
	if err != nil {
		return nil, err
	}
	names, err := dir.Names()
	if err != nil {
		return nil, err
	}
	variables, err := environmentOptions(optionsFor(progPub, false))
	if err != nil {
		return nil, fail(exitUsage, err)
	}
	used := chooseProfile(nil, variables, says(variables, "no-defaults")).name
	schema := profileSchema()
	rows := []profileRow{}
	for _, name := range names {
		row := profileRow{Name: name, Used: name == used}
		chain, err := dir.Chain(name, schema)
		if err != nil {
			row.Problem, _, _ = strings.Cut(err.Error(), "\n")
		}
		for _, p := range chain {
			row.About, row.Extends = p.About, p.Extends
			if b := brokerOf(p); b != "" {
				row.Broker = b
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// brokerOf is where a profile connects to; "" if it does not say.
func brokerOf(p *profile.Profile) string {
	said := map[string]string{}
	for _, s := range p.Settings {
		if s.Command == "" {
			said[s.Option] = s.Masked()
		}
	}
	switch {
	case said["url"] != "":
		return said["url"]
	case said["unix"] != "":
		return "unix://" + said["unix"]
	case said["host"] != "" && said["port"] != "":
		return said["host"] + ":" + said["port"]
	}
	return said["host"]
}

func writeProfileRows(t *terminal, rows []profileRow, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(t.out).Encode(struct {
			Profiles []profileRow `json:"profiles"`
		}{rows})
	}
	if len(rows) == 0 {
		t.notef("there are no profiles")
		t.hintf("iotctl profile add NAME mqtt://HOST")
		return nil
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		mark, about := " ", r.About
		if r.Used {
			mark = "*"
		}
		if r.Problem != "" {
			about = "unusable: " + r.Problem
		}
		fmt.Fprintf(w, "%s %s\t%s\t%s\n", mark, r.Name, orDash(tamed([]byte(r.Broker))), tamed([]byte(about)))
	}
	return w.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func newProfileRemove() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:               "remove name",
		Short:             "Remove a profile",
		Long:              "Removes a profile, and its password from the key ring. A profile that others are\nbuilt upon stays, unless --force is given.",
		Example:           "  iotctl profile remove plant",
		Args:              oneProfile,
		ValidArgsFunction: completeProfile,
		RunE: func(cmd *cobra.Command, args []string) error {
			return removeProfile(newTerminal(cmd), args[0], force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "even if others are built upon it")
	return cmd
}

func removeProfile(t *terminal, name string, force bool) error {
	dir, err := profilePlace()
	if err != nil {
		return err
	}
	schema := profileSchema()
	p, err := dir.Load(name, schema)
	if missing := (*profile.NotFoundError)(nil); errors.As(err, &missing) || profile.CheckName(name) != nil {
		return failProfile(err)
	}
	names, err := dir.Names()
	if err != nil {
		return err
	}
	for _, other := range names {
		if q, err := dir.Load(other, schema); err == nil && q.Extends == name && !force {
			return fail(exitUsage, fmt.Errorf("the profile %q is built upon %q", other, name), "iotctl profile remove "+other, "iotctl profile remove --force "+name)
		}
	}
	if err := os.Remove(dir.Path(name)); err != nil {
		return err
	}
	if p == nil { // one that cannot be read goes, too
		return nil
	}
	for _, s := range p.Settings {
		if s.Option != "password-keyring" || s.Value != name {
			continue
		}
		_, err := withKeyring(func() (string, error) { return "", keyring.Delete(keyringService, name) })
		if err != nil && !errors.Is(err, keyring.ErrNotFound) {
			t.warnf("its password stays where it is: %v", err)
		}
	}
	return nil
}

func newProfileUse() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "use name",
		Short: "Make a profile the one that is used when none is named",
		Long: `Makes a profile the default one: it writes a profile called default that is built
upon it. iotctl profile remove default takes that back.

The default profile is left out when the command line or the environment names
another broker, by URL, -h or --unix: its password is nobody else's business.`,
		Example:           "  iotctl profile use plant",
		Args:              oneProfile,
		ValidArgsFunction: completeProfile,
		RunE: func(_ *cobra.Command, args []string) error {
			return useProfile(args[0], force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace a profile called default that says something itself")
	return cmd
}

func useProfile(name string, force bool) error {
	dir, err := profilePlace()
	if err != nil {
		return err
	}
	schema := profileSchema()
	if _, err := dir.Chain(name, schema); err != nil {
		return failProfile(err)
	}
	if name == defaultProfile {
		return nil
	}
	old, err := dir.Load(defaultProfile, schema)
	if err == nil && len(old.Settings) > 0 && !force {
		return fail(exitUsage, errors.New("the profile called default has options of its own"), "iotctl profile show default", "iotctl profile use --force "+name)
	}
	text, err := (&profile.Profile{Extends: name}).Text(schema)
	if err != nil {
		return err
	}
	return writeProfile(dir, defaultProfile, text)
}

func newProfileEdit() *cobra.Command {
	return &cobra.Command{
		Use:   "edit name",
		Short: "Change a profile with an editor",
		Long: `Opens a copy of a profile, or an empty one, in the editor that VISUAL or EDITOR
names. It takes the place of the profile when there is no mistake in it.`,
		Example:           "  iotctl profile edit plant",
		Args:              oneProfile,
		ValidArgsFunction: completeProfile,
		RunE: func(cmd *cobra.Command, args []string) error {
			return editProfile(newTerminal(cmd), args[0])
		},
	}
}

func editProfile(t *terminal, name string) error {
	dir, err := profilePlace()
	if err != nil {
		return err
	}
	if err := profile.CheckName(name); err != nil {
		return fail(exitUsage, err)
	}
	text, err := os.ReadFile(dir.Path(name))
	if errors.Is(err, os.ErrNotExist) {
		text, err = []byte("# url: mqtts://broker.example\n# username: me\n# See iotctl help profiles.\n"), nil
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(string(dir), 0o700); err != nil {
		return err
	}
	draft := filepath.Join(string(dir), "."+name+".draft") // no profile: see CheckName
	if err := auth.ReplaceFile(draft, text, nil); err != nil {
		return err
	}
	if err := runEditor(t, draft); err != nil {
		return errors.Join(err, os.Remove(draft))
	}
	edited, err := os.ReadFile(draft)
	if err != nil {
		return err
	}
	if _, err := profile.Parse(name, draft, edited, profileSchema()); err != nil {
		return fail(exitUsage, fmt.Errorf("%w\nthe profile is as it was; the draft is still there", err), "mv "+shellWord(draft)+" "+shellWord(dir.Path(name))+", once it is right")
	}
	return errors.Join(writeProfile(dir, name, edited), os.Remove(draft))
}

func runEditor(t *terminal, file string) error {
	editor := os.Getenv("VISUAL")
	if editor == "" {
		editor = os.Getenv("EDITOR")
	}
	if editor == "" {
		editor = "vi"
		if runtime.GOOS == "windows" {
			editor = "notepad"
		}
	}
	words, err := profile.Split(editor)
	if err != nil || len(words) == 0 {
		return fail(exitUsage, fmt.Errorf("the editor %q: its name cannot be read", editor))
	}
	cmd := exec.Command(words[0], append(slices.Clone(words[1:]), file)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = t.in, t.out, t.err
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the editor %q: %w", words[0], err)
	}
	return nil
}
