"""Services that tell where data and workflows lie: records of Zenodo, and GA4GH DRS and TRS."""
