package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// newRoot builds the whole command tree. It has no side effects, so that
// documentation and completions can be generated from it.
func newRoot() *cobra.Command {
	root := newBareRoot()
	root.AddCommand(
		newServe(),
		newProxy(),
		newBench(),
		newStore(),
		newCodec(),
		newPair(),
		newPub(),
		newSub(),
		newRR(),
		newRequest(),
		newReply(),
		newTop(),
		newProfile(),
		newGet(),
		newRetained(),
		newRecord(),
		newReplay(),
		newDoctor(),
		newDecode(),
		newEncode(),
		newSchema(),
		newPayload(),
		newTranslate(),
		newVersion(),
		newServeConfig(),
		newProxyConfig(),
		newExitCodes(),
		newFormats(),
		newPayloads(),
		newGenerators(),
		newProfiles(),
		newEnvironment(),
		newFaults(),
		newDefinitions(),
		newCompletion(),
		newDocs(),
	)
	addCompletions(root)
	var version strings.Builder
	_ = readVersion().writeText(&version)
	root.Version = version.String()
	root.SetVersionTemplate("{{.Version}}")
	root.Flags().Bool("version", false, "print the version, as iotctl version does")
	root.InitDefaultHelpCmd()
	help, _, _ := root.Find([]string{"help"})
	help.Args = func(_ *cobra.Command, args []string) error {
		if _, _, err := root.Find(args); err != nil {
			return usageFromCobra(root, err) // cobra's own help would be a success
		}
		return nil
	}
	return root
}

// newRootFor builds what the command line args needs of the tree: clients, and
// who asks for the version, are started often, by scripts that wait for them.
func newRootFor(args []string) *cobra.Command {
	clients := map[string]func() *cobra.Command{
		"pub": newPub, "sub": newSub, "rr": newRR, "get": newGet, "request": newRequest, "reply": newReply, "top": newTop, "version": newVersion,
	}
	if len(args) == 0 || clients[args[0]] == nil {
		return newRoot()
	}
	root := newBareRoot()
	root.AddCommand(clients[args[0]]())
	return root
}

func newBareRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "iotctl",
		Short: "MQTT broker, clients and tools in one program",
		Long: `iotctl is an MQTT broker with gateways for other IoT protocols, and the
clients and tools to work with it, in one program without dependencies.`,
		Example: `  iotctl serve
  iotctl sub -t 'sensors/#' -v
  iotctl pub -t sensors/1 -m 21.5`,
		SilenceErrors: true, // run prints them by the rules of terminal.go
		SilenceUsage:  true,
	}
	color := colorMode("auto")
	root.PersistentFlags().Var(&color, "color", "when to colour what people read: auto, always or never")
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddGroup(
		&cobra.Group{ID: groupRun, Title: "Run:"},
		&cobra.Group{ID: groupClient, Title: "Publish and subscribe:"},
		&cobra.Group{ID: groupTools, Title: "Look at packets:"},
		&cobra.Group{ID: groupOther, Title: "More:"},
	)
	root.SetHelpCommandGroupID(groupOther)
	return root
}

// colorMode is the value of --color.
type colorMode string

func (m *colorMode) String() string { return string(*m) }

// Type is what help calls the value.
func (m *colorMode) Type() string { return "when" }

// Set implements pflag.Value.
func (m *colorMode) Set(v string) error {
	if v != "auto" && v != "always" && v != "never" {
		return errors.New("must be auto, always or never")
	}
	*m = colorMode(v)
	return nil
}

// noArgs is for commands that take options only.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fail(exitUsage, fmt.Errorf("%s takes no arguments, and %q is one", cmd.CommandPath(), args[0]), cmd.CommandPath()+" --help")
}

// The groups under which `iotctl --help` lists the commands.
const (
	groupRun    = "run"
	groupClient = "client"
	groupTools  = "tools"
	groupOther  = "other"
)
