package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// buildVersion is what `iotctl version` prints. It comes from the build
// information that the Go toolchain embeds, so `go install` fills it as well
// as a release does.
type buildVersion struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"` // of the commit, RFC 3339
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

func readVersion() buildVersion {
	v := buildVersion{Version: "(devel)", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func (v buildVersion) writeText(w io.Writer) error {
	_, err := fmt.Fprintf(w, "iotctl %s\n", v.Version)
	if err != nil {
		return err
	}
	if v.Revision != "" {
		note := ""
		if v.Modified {
			note = ", modified"
		}
		fmt.Fprintf(w, "commit %s of %s%s\n", v.Revision, v.Time, note)
	}
	_, err = fmt.Fprintf(w, "%s %s/%s\n", v.Go, v.OS, v.Arch)
	return err
}

func newVersion() *cobra.Command {
	output := "text"
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print version, commit, Go release and platform",
		Example: `  iotctl version
  iotctl version -o json`,
		Args:    noArgs,
		GroupID: groupOther,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := readVersion()
			switch output {
			case "text":
				return v.writeText(cmd.OutOrStdout())
			case "json":
				return json.NewEncoder(cmd.OutOrStdout()).Encode(v)
			}
			return usagef("output %q: must be text or json", output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", output, "`format`: text or json")
	return cmd
}
