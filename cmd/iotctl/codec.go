package main

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/iotctl/iotctl/internal/codec/frame"
)

func newCodec() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "codec list|show|new|check",
		Short: "Describe private protocols in files, and test the files",
		Long: `A codec is a YAML file that says how the bytes of a device fall into frames, what
the fields of a frame mean, what is answered, and how a command becomes a frame.
iotctl serve speaks it on listeners such as frame://0.0.0.0:8092/gt06.

Some come with the program. Others are written by hand and listed in the
configuration file of serve, as frame.codecs:

  listeners: [{url: "frame://127.0.0.1:8092/thermometer"}]
  frame: {codecs: [thermometer.yaml]}

What can stand in such a file is described by iotctl help definitions; iotctl
codec show prints files to learn from. A file can be tried without a
configuration: its path in the place of the name.`,
		Example: `  iotctl codec list
  iotctl codec new thermometer --kind length
  iotctl codec check thermometer.yaml
  iotctl serve --ephemeral --listen frame://127.0.0.1:8092/./thermometer.yaml`,
		GroupID: groupRun,
		Args:    oneOfItsCommands,

		SuggestionsMinimumDistance: 2,
		RunE:                       func(*cobra.Command, []string) error { return nil }, // Args lets nothing through
	}
	cmd.AddCommand(newCodecList(), newCodecShow(), newCodecNew(), newCodecCheck())
	return cmd
}

func newCodecList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the codecs that come with the program",
		Long:  `Prints name, framing and purpose of each codec that comes with the program.`,
		Example: `  iotctl codec list
  iotctl codec list --json | jq -r '.[].name'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCodecList(newTerminal(cmd), asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return cmd
}

// codecEntry is a line of the list.
type codecEntry struct {
	Name    string `json:"name"`
	Framing string `json:"framing"`
	Doc     string `json:"doc"`
}

func runCodecList(t *terminal, asJSON bool) error {
	var all []codecEntry
	for _, name := range frame.Builtin() {
		src, err := frame.Source(name)
		if err != nil {
			return err
		}
		e := codecEntry{Name: name}
		if e.Framing, e.Doc, err = outline(src); err != nil {
			return fmt.Errorf("codec %s: %w", name, err)
		}
		all = append(all, e)
	}
	if asJSON {
		return json.NewEncoder(t.out).Encode(all)
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tFRAMING\tPURPOSE")
	for _, e := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\n", e.Name, e.Framing, e.Doc)
	}
	return w.Flush()
}

// outline is what a definition says about its framing, in a few words, and what
// it is for.
func outline(src []byte) (framing, doc string, err error) {
	var f struct {
		Doc     string
		Framing yaml.Node
	}
	if err := yaml.Unmarshal(src, &f); err != nil {
		return "", "", err
	}
	shapes := []*yaml.Node{&f.Framing}
	if f.Framing.Kind == yaml.SequenceNode {
		shapes = f.Framing.Content
	}
	var words []string
	for _, n := range shapes {
		if w := shapeOf(n); !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return strings.Join(words, " or "), f.Doc, nil
}

// shapeOf is the word for one shape of frames.
func shapeOf(n *yaml.Node) string {
	var keys map[string]yaml.Node
	if n.Decode(&keys) != nil {
		return n.Value // whole
	}
	for _, w := range []struct{ key, word string }{
		{"length", "length"}, {"fixed", "fixed"}, {"delimiter", "delimiter"}, {"end", "start-end"}, {"idle_gap", "silence"},
	} {
		if _, ok := keys[w.key]; ok {
			return w.word
		}
	}
	return "whole"
}

func newCodecShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show codec",
		Short: "Print the definition of a codec",
		Long: `Prints the YAML of a codec that comes with the program: to see what it makes of
a device, or to begin a variant of it. A file that keeps the name takes its
place.`,
		Example: `  iotctl codec show gt06
  iotctl codec show modbus-rtu > my-line.yaml`,
		Args:              oneCodec,
		ValidArgsFunction: completeCodecs,
		RunE: func(cmd *cobra.Command, args []string) error {
			t := newTerminal(cmd)
			src, _, err := readCodec(t, args[0])
			if err != nil {
				return err
			}
			_, err = t.out.Write(src)
			return err
		},
	}
}

func oneCodec(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return fail(exitUsage, errors.New("which codec? a name, or a file"), "iotctl codec list")
	case 1:
		return nil
	}
	return usagef("%s takes one codec, and %q is another", cmd.CommandPath(), args[1])
}

func completeCodecs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return frame.Builtin(), cobra.ShellCompDirectiveDefault
}

// readCodec returns the definition that arg means: the name of one that comes
// with the program, a file, or - for standard input. name is how messages call it.
func readCodec(t *terminal, arg string) (src []byte, name string, err error) {
	if arg == "-" {
		src, err = readDefinition(t.in)
		return src, "standard input", err
	}
	if src, err = frame.Source(arg); err == nil {
		return src, arg, nil
	}
	src, err = readDefinitionFile(arg)
	switch {
	case err == nil:
		return src, arg, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, "", fail(exitUsage, err)
	case looksLikeFile(arg):
		return nil, "", fail(exitUsage, err, "iotctl codec new "+quoteShell(strings.TrimSuffix(filepath.Base(arg), filepath.Ext(arg))))
	}
	return nil, "", fail(exitUsage, fmt.Errorf("%q is neither a codec that comes with the program nor a file", arg), "iotctl codec list")
}

// readDefinition reads a little more than the most that a definition can have,
// which is then refused.
func readDefinition(r io.Reader) ([]byte, error) {
	return io.ReadAll(io.LimitReader(r, frame.MaxSource+1))
}

func readDefinitionFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readDefinition(f)
}

func looksLikeFile(arg string) bool {
	return strings.ContainsRune(arg, filepath.Separator) || filepath.Ext(arg) != ""
}

// skeletons are what new begins with.
//
//go:embed skeleton/*.yaml
var skeletons embed.FS

// skeletonKinds are the names of the skeletons.
func skeletonKinds() []string {
	entries, _ := skeletons.ReadDir("skeleton")
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// newCodecOptions is the command line of `iotctl codec new`.
type newCodecOptions struct{ kind, out string }

func newCodecNew() *cobra.Command {
	var o newCodecOptions
	cmd := &cobra.Command{
		Use:   "new name",
		Short: "Begin a definition, with comments and tests",
		Long: `Writes NAME.yaml, a small protocol that works, with a comment on each part, to be
changed into the one that is wanted. Its tests pass, and the first thing to
replace are these: by frames of the device.

  lines       text that ends with a line feed
  length      binary frames that say how long they are
  start-end   binary frames between two markers`,
		Example: `  iotctl codec new thermometer --kind length
  iotctl codec check thermometer.yaml`,
		Args: oneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCodecNew(newTerminal(cmd), &o, args[0])
		},
	}
	cmd.Flags().StringVarP(&o.kind, "kind", "k", "lines", "`kind` of frames: "+strings.Join(skeletonKinds(), ", "))
	cmd.Flags().StringVarP(&o.out, "out", "o", "", "the `file` to write (default: NAME.yaml; - is standard output)")
	_ = cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(skeletonKinds(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// codecName is what a codec may be called: it is a level of topics and a part of
// URLs.
var codecName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`) })

func oneName(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return fail(exitUsage, errors.New("what is the codec to be called?"), "iotctl codec new thermometer")
	case len(args) > 1:
		return usagef("%s takes one name, and %q is another", cmd.CommandPath(), args[1])
	case filepath.Ext(args[0]) == ".yaml":
		name := strings.TrimSuffix(args[0], ".yaml")
		return fail(exitUsage, fmt.Errorf("%q is a file: what is the codec to be called?", args[0]), "iotctl codec new "+quoteShell(filepath.Base(name)))
	case !codecName().MatchString(args[0]):
		return usagef("%q cannot be the name of a codec: lower case letters, digits, and . _ - in between", args[0])
	}
	return nil
}

func runCodecNew(t *terminal, o *newCodecOptions, name string) error {
	src, err := skeletons.ReadFile("skeleton/" + o.kind + ".yaml")
	if err != nil {
		return usagef("--kind %q: must be one of %s", o.kind, strings.Join(skeletonKinds(), ", "))
	}
	src = []byte(strings.ReplaceAll(string(src), "NAME", name))
	if o.out == "-" {
		_, err := t.out.Write(src)
		return err
	}
	file := firstOf(o.out, name+".yaml")
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fail(exitUsage, fmt.Errorf("%s is there already, and stays", file), "write to another file with --out")
	}
	if err != nil {
		return err
	}
	_, err = f.Write(src)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	t.notef("%s is a protocol to begin with; try it with: iotctl codec check %s", file, quoteShell(file))
	return nil
}
