package errorpage

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
	"sync"

	"golang.org/x/text/language"
)

//go:embed page.html locales
var files embed.FS

// catalogue holds the sentences of one language, as a file of locales/ has them.
type catalogue struct {
	Tag       string              `json:"-"`
	Direction string              `json:"direction"`
	Sentences map[string]sentence `json:"sentences"` // by Page.Code
}

type sentence struct{ Title, Text string }

// content is the parsed content of files.
type content struct {
	page       *template.Template
	catalogues []*catalogue // English first: the one for clients that want none of them
	matcher    language.Matcher
}

// load parses files once. A fault of theirs is one of the program, and found by a test.
var load = sync.OnceValue(func() *content {
	c := &content{page: template.Must(template.ParseFS(files, "page.html"))}
	names, err := fs.Glob(files, "locales/*.json")
	if err != nil {
		panic(err)
	}
	var tags []language.Tag
	for _, name := range names {
		l := &catalogue{Tag: strings.TrimSuffix(path.Base(name), ".json")}
		text, err := files.ReadFile(name)
		if err == nil {
			err = json.Unmarshal(text, l)
		}
		if err != nil {
			panic(fmt.Sprintf("%s: %v", name, err))
		}
		tag := language.MustParse(l.Tag)
		if l.Tag == "en" {
			c.catalogues, tags = append([]*catalogue{l}, c.catalogues...), append([]language.Tag{tag}, tags...)
		} else {
			c.catalogues, tags = append(c.catalogues, l), append(tags, tag)
		}
	}
	c.matcher = language.NewMatcher(tags)
	return c
})

// sentence returns the sentence for a code, with args for its {places}.
func (l *catalogue) sentence(code string, args map[string]string) sentence {
	s, ok := l.Sentences[code]
	if !ok {
		s = l.Sentences["internal"]
	}
	for name, value := range args {
		s.Title = strings.ReplaceAll(s.Title, "{"+name+"}", value)
		s.Text = strings.ReplaceAll(s.Text, "{"+name+"}", value)
	}
	return s
}
