package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
)

// completionFiles names the completion scripts as each shell looks for them.
var completionFiles = map[string]string{
	"bash":       "iotctl.bash",
	"zsh":        "_iotctl",
	"fish":       "iotctl.fish",
	"powershell": "iotctl.ps1",
}

func newCompletion() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a completion script for your shell",
		Long: `Prints a script that teaches your shell to complete iotctl's commands and
options. Packages install it already. In bash it needs the package
bash-completion. To try it in the running shell:

  bash        source <(iotctl completion bash)
  zsh         source <(iotctl completion zsh)
  fish        iotctl completion fish | source
  PowerShell  iotctl completion powershell | Out-String | Invoke-Expression`,
		Example: `  iotctl completion bash > /etc/bash_completion.d/iotctl
  iotctl completion zsh > "${fpath[1]}/_iotctl"`,
		Args:                  oneShell,
		ValidArgs:             []string{"bash", "zsh", "fish", "powershell"},
		GroupID:               groupOther,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return writeCompletion(cmd.OutOrStdout(), cmd.Root(), args[0])
		},
	}
}

// oneShell wants one argument: the name of a shell.
func oneShell(cmd *cobra.Command, args []string) error {
	const names = "bash, zsh, fish or powershell"
	switch {
	case len(args) == 0:
		return fail(exitUsage, errors.New("for which shell? "+names), cmd.CommandPath()+" bash")
	case len(args) > 1:
		return usagef("one shell at a time: %s", names)
	case !slices.Contains(cmd.ValidArgs, args[0]):
		return usagef("shell %q: must be %s", args[0], names)
	}
	return nil
}

func writeCompletion(w io.Writer, root *cobra.Command, shell string) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(w, true)
	case "zsh":
		return root.GenZshCompletion(w)
	case "fish":
		return root.GenFishCompletion(w, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(w)
	}
	return usagef("shell %q: must be bash, zsh, fish or powershell", shell)
}

// newDocs is for packagers and for `make docs`; hidden because nobody else
// needs it.
func newDocs() *cobra.Command {
	return &cobra.Command{
		Use:    "docs DIR",
		Short:  "Write man pages and completion scripts below a directory",
		Args:   cobra.ExactArgs(1),
		Hidden: true,
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := generateDocs()
			if err != nil {
				return err
			}
			for name, content := range files {
				file := filepath.Join(args[0], filepath.FromSlash(name))
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					return err
				}
				if err := os.WriteFile(file, content, 0o644); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// generateDocs returns the content of every generated file by its path below
// the repository root. The same command tree always gives the same bytes.
func generateDocs() (map[string][]byte, error) {
	files := make(map[string][]byte)
	for shell, name := range completionFiles {
		var b bytes.Buffer
		// A new tree each time: cobra adds commands and flags to the one that
		// it generates from.
		if err := writeCompletion(&b, newRoot(), shell); err != nil {
			return nil, fmt.Errorf("%s completion: %w", shell, err)
		}
		files["completions/"+name] = b.Bytes()
	}
	for _, cmd := range documented(newRoot()) {
		files["man/"+manFile(cmd)] = manPage(cmd)
	}
	return files, nil
}

// documented lists cmd and all commands and help topics below it that users
// are meant to find.
func documented(cmd *cobra.Command) []*cobra.Command {
	if cmd.Hidden || cmd.Deprecated != "" {
		return nil
	}
	all := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		if sub.Name() != "help" {
			all = append(all, documented(sub)...)
		}
	}
	return all
}
