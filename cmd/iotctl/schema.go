package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/format"
)

// newSchema publishes what programs may count on.
func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema [record]",
		Short: "Print the JSON Schema of sub -o jsonl and pub --jsonl",
		Long: `Prints the JSON Schema (2020-12) of a record: the object that iotctl sub, get,
rr and others print with -o jsonl, a line of iotctl record, and what iotctl pub
--jsonl and iotctl replay read.

The $id says the version, urn:iotctl:record:1. Members may be added to a version,
and whoever reads records skips what he does not know. Where the meaning of a
member changes or one goes away, the version is another.

iotctl help formats describes the members.`,
		Example: `  iotctl schema > record.schema.json
  iotctl schema | jq -r '.properties | keys[]'`,
		GroupID:               groupOther,
		DisableFlagsInUseLine: true,
		ValidArgs:             []string{"record"},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && args[0] != "record" {
				return fail(exitUsage, fmt.Errorf("there is one schema, of a record"), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), format.RecordSchema)
			return err
		},
	}
}
