-- Orthanc: analyse every study as soon as it is stable. In orthanc.json: "LuaScripts": ["/etc/lvo/orthanc.lua"], "StableAge": 30.
-- Only Orthanc's own id goes into the command: everything else in a study comes from the network.
local HOOK = os.getenv("LVO_HOOK") or "/etc/lvo/orthanc_study.py"

function OnStableStudy(id, tags, metadata)
  if string.match(id, "^[0-9a-f-]+$") then
    os.execute("'" .. HOOK .. "' " .. id .. " &")
  end
end
