import sys
def rep(table):
    """table: text blocks: '@file' then 'old => new' lines; '\\n' literal for newline; '*' prefix = all occurrences."""
    bad=0; file=None; texts={}
    for line in table.strip("\n").split("\n"):
        if not line.strip(): continue
        if line.startswith("@"):
            file=line[1:].strip(); texts.setdefault(file, open(file).read()); continue
        many=line.startswith("**")
        if many: line=line[2:]
        old,new=line.split(" => ",1) if " => " in line else (line.rstrip(" =>"),"")
        old,new=old.replace("\\n","\n"),new.replace("\\n","\n")
        n=texts[file].count(old)
        if n==0 or (n>1 and not many): print("BAD",n,file,repr(old)); bad+=1; continue
        texts[file]=texts[file].replace(old,new)
    for f,t in texts.items(): open(f,"w").write(t)
    print("bad",bad)
rep(sys.stdin.read())
