package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// This file turns the command tree into man pages. Help texts are plain text:
// paragraphs are filled, indented lines are tables or commands and stay as
// they are. A generator that reads them as Markdown would mangle both, and
// everything with # or _ in it.

// manFile is the name of cmd's page: iotctl-pub.1, help topics in section 7.
func manFile(cmd *cobra.Command) string {
	return manName(cmd) + "." + manSection(cmd)
}

func manName(cmd *cobra.Command) string {
	return strings.ReplaceAll(cmd.CommandPath(), " ", "-")
}

func manSection(cmd *cobra.Command) string {
	if cmd.IsAdditionalHelpTopicCommand() {
		return "7"
	}
	return "1"
}

// manPage renders one page, without a date so that it changes only when the
// command does.
func manPage(cmd *cobra.Command) []byte {
	cmd.InitDefaultHelpFlag()
	var p roff
	fmt.Fprintf(&p, ".TH %s %s \"\" iotctl \"iotctl manual\"\n", strings.ToUpper(roffText(manName(cmd))), manSection(cmd))
	p.section("NAME")
	p.line(manName(cmd) + " - " + lowerFirst(cmd.Short))
	if usage := synopsis(cmd); usage != "" {
		p.section("SYNOPSIS")
		p.WriteString(".B ")
		p.line(usage)
	}
	p.section("DESCRIPTION")
	p.text(firstOf(cmd.Long, cmd.Short))
	if cmd.HasAvailableSubCommands() {
		p.section("COMMANDS")
		for _, sub := range documented(cmd)[1:] {
			p.term(sub.CommandPath(), sub.Short)
		}
	}
	if synopsis(cmd) != "" {
		p.flags("OPTIONS", cmd.NonInheritedFlags())
		p.flags("GLOBAL OPTIONS", cmd.InheritedFlags())
	}
	if cmd.HasExample() {
		p.section("EXAMPLES")
		p.text(cmd.Example)
	}
	p.section("SEE ALSO")
	p.line(strings.Join(seeAlso(cmd), ", "))
	return p.Bytes()
}

// synopsis is the usage line, "" for help topics.
func synopsis(cmd *cobra.Command) string {
	switch {
	case cmd.Runnable():
		return cmd.UseLine()
	case cmd.HasAvailableSubCommands():
		return cmd.CommandPath() + " command [options]"
	}
	return ""
}

func seeAlso(cmd *cobra.Command) []string {
	var pages []string
	for _, other := range documented(cmd.Root()) {
		if other != cmd {
			pages = append(pages, manName(other)+"("+manSection(other)+")")
		}
	}
	return pages
}

// roff collects a page. Its methods take plain text and escape it.
type roff struct{ bytes.Buffer }

func (p *roff) section(title string) { fmt.Fprintf(p, ".SH %s\n", title) }

func (p *roff) line(s string) { fmt.Fprintln(p, roffText(s)) }

// term is one entry of a list: a bold line, and its description indented.
func (p *roff) term(head, description string) {
	fmt.Fprintf(p, ".TP\n.B %s\n", roffText(head))
	p.line(description)
}

// isHeading reports whether a line of help is all in capitals.
func isHeading(line string) bool {
	return line != "" && line[0] >= 'A' && line[0] <= 'Z' && line == strings.ToUpper(line)
}

// text writes paragraphs; runs of indented lines keep their line breaks.
func (p *roff) text(s string) {
	verbatim, gap := false, false
	for line := range strings.Lines(strings.TrimRight(s, "\n")) {
		line = strings.TrimRight(line, "\n")
		if line == "" {
			gap = true
			continue
		}
		indented := strings.HasPrefix(line, " ")
		if isHeading(line) {
			if verbatim {
				p.WriteString(".fi\n.RE\n")
			}
			fmt.Fprintf(p, ".SS %s\n", roffText(line))
			verbatim, gap = false, false
			continue
		}
		switch {
		case indented && !verbatim:
			p.WriteString(".PP\n.RS 4\n.nf\n")
		case indented && gap:
			p.WriteString("\n")
		case !indented && verbatim:
			p.WriteString(".fi\n.RE\n.PP\n")
		case gap:
			p.WriteString(".PP\n")
		}
		verbatim, gap = indented, false
		if indented {
			line = strings.TrimPrefix(line, "  ")
		}
		p.line(line)
	}
	if verbatim {
		p.WriteString(".fi\n.RE\n")
	}
}

// flags lists options, those of pub, sub and rr under the groups of their help.
func (p *roff) flags(title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	p.section(title)
	for _, group := range append([]string{""}, optionGroups...) {
		headed := group == ""
		flags.VisitAll(func(f *pflag.Flag) {
			if f.Hidden || f.Deprecated != "" || groupOf(f) != group {
				return
			}
			if !headed {
				fmt.Fprintf(p, ".SS %s\n", roffText(group))
				headed = true
			}
			p.flag(f)
		})
	}
}

func groupOf(f *pflag.Flag) string {
	if v, ok := f.Value.(*flagValue); ok {
		return v.o.group
	}
	if g := f.Annotations["group"]; len(g) > 0 {
		return g[0]
	}
	return ""
}

func (p *roff) flag(f *pflag.Flag) {
	value, usage := pflag.UnquoteUsage(f)
	head := "--" + f.Name
	if f.Shorthand != "" && f.ShorthandDeprecated == "" {
		head = "-" + f.Shorthand + ", " + head
	}
	if value != "" {
		head += " " + value
	}
	if d := f.DefValue; d != "" && d != "0" && d != "false" && d != "[]" && d != "0s" {
		usage += " (default " + d + ")"
	}
	p.term(head, usage)
}

// roffText escapes s for use as a text line or as a macro's argument.
func roffText(s string) string {
	s = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `"`, `\(dq`).Replace(s)
	s = strings.ReplaceAll(s, "\n", "\n\\&")
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s // not a request
	}
	return s
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// lowerFirst makes a summary fit after "name - ", leaving names like MQTT.
func lowerFirst(s string) string {
	if len(s) > 1 && s[1] >= 'a' && s[1] <= 'z' {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}
