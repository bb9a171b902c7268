package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds the configuration file in bytes: far above any real one, and
// low enough that reading a wrong file (a log, a disk) ends at once.
const maxFile = 1 << 20

// parse returns the root of the one YAML document in data: a mapping. The
// library checks the syntax alone here. Everything else is read from the nodes,
// because they know their lines, and a decoder into structs does not say which
// key of which entry it stumbled over.
func parse(file string, data []byte) (*yaml.Node, *Fault) {
	if len(data) > maxFile {
		return nil, &Fault{File: file, Problem: "is larger than 1 MiB", Cure: "give the path of a configuration file"}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) || err == nil && isNull(content(&document)) {
		return nil, &Fault{
			File: file, Problem: "is empty",
			Cure: `write one with "persona setup", or remove the file to configure by environment`,
		}
	}
	if err != nil {
		return nil, syntaxFault(file, err)
	}
	root := content(&document)
	if root.Kind != yaml.MappingNode {
		return nil, &Fault{File: file, Line: root.Line, Problem: "is not a mapping of keys to values", Cure: `begin with a key, as in "domains:"`}
	}
	var second yaml.Node
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
		return root, nil
	case err != nil:
		return nil, syntaxFault(file, err)
	}
	return nil, &Fault{File: file, Line: second.Line, Problem: "a second document begins here", Cure: `keep one document a file: remove the line "---"`}
}

// content returns the node inside a document, or the node itself.
func content(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.DocumentNode && len(node.Content) == 1 {
		return node.Content[0]
	}
	return node
}

func isNull(node *yaml.Node) bool {
	return node.Kind == 0 || node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

func isEmpty(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!str" && node.Value == ""
}

// resolve follows an alias to what it stands for.
func resolve(node *yaml.Node) *yaml.Node {
	if node != nil && node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

var (
	syntaxLine    = regexp.MustCompile(`^line (\d+): `)
	unknownAnchor = regexp.MustCompile(`unknown anchor .*`)
)

// syntaxFault turns an error of the library into a fault. The library stops at
// the first one.
func syntaxFault(file string, err error) *Fault {
	fault := &Fault{File: file, Cure: "mend the YAML here; further faults show afterwards"}
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if match := syntaxLine.FindStringSubmatch(text); match != nil {
		fault.Line, _ = strconv.Atoi(match[1])
		text = text[len(match[0]):]
	}
	// An unquoted password that begins with * is taken for an anchor: the
	// message would show it.
	if unknownAnchor.MatchString(text) {
		text = unknownAnchor.ReplaceAllString(text, "unknown anchor")
		fault.Cure = "put quotes around a value that begins with *"
	}
	fault.Problem = fmt.Sprintf("is not YAML: %s", text)
	return fault
}
